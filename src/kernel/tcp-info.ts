import { IPPROTO_TCP, TCP_INFO } from "./abi.js";
import { lastErrno, libc } from "./libc.js";
import { socketError } from "./socket-error.js";
import { stateFromNumber, type TcpState } from "./tcp-states.js";
import { word } from "./word.js";

/**
 * What the kernel knows about one connection (struct tcp_info, include/uapi/linux/tcp.h). The structure only ever grew at its
 * end; a field is null where the kernel gave fewer bytes than it needs.
 */
export interface TcpInfo {
  readonly state: TcpState;
  /** Retransmission timeouts in a row without an answer. */
  readonly retransmits: number;
  /** Unanswered keepalive or window probes; may be stale once the retransmission timer has taken over. */
  readonly probes: number;
  /** Doublings of the retransmission timeout. */
  readonly backoff: number;
  /** The retransmission timeout as it stands, doublings included. */
  readonly rtoUs: number;
  /** Segments in flight; on a listener, connections waiting for accept. */
  readonly unacked: number;
  /** Segments believed lost. */
  readonly lost: number;
  /** Since data was last sent; a retransmission counts as well. */
  readonly lastDataSentMs: number;
  readonly lastDataRecvMs: number;
  readonly lastAckRecvMs: number;
  /** Smoothed round-trip time; 0: none measured. */
  readonly rttUs: number;
  readonly rttVarUs: number;
  readonly pathMtu: number;
  /** Segments retransmitted in the connection's life. */
  readonly totalRetransmits: number;
  /** Linux 4.1. Bytes the peer has acknowledged, SYN included. */
  readonly bytesAcked: number | null;
  /** Linux 4.1. */
  readonly bytesReceived: number | null;
  /** Linux 4.2. */
  readonly segmentsOut: number | null;
  readonly segmentsIn: number | null;
  /** Linux 4.6. Written by the program, not yet sent once. */
  readonly notsentBytes: number | null;
  /** Linux 4.6. The smallest round-trip time of the last minutes; null also where none was measured. */
  readonly minRttUs: number | null;
  /** Linux 4.10. Time with data to send. */
  readonly busyTimeUs: number | null;
  /** Linux 4.10. Part of busyTimeUs in which the peer's window held us up. */
  readonly rwndLimitedUs: number | null;
  /** Linux 4.19. Retransmissions included. */
  readonly bytesSent: number | null;
  /** Linux 4.19. */
  readonly bytesRetransmitted: number | null;
  /** Linux 5.4. The window that the peer offers now, in bytes. */
  readonly sndWnd: number | null;
  /** Linux 6.2. The window that we offer. */
  readonly rcvWnd: number | null;
  /** Linux 6.7. Retransmission timeouts in the connection's life, and the time spent in them. */
  readonly totalRto: number | null;
  readonly totalRtoTimeMs: number | null;
}

type Field = readonly [kernelName: string, offset: number, read: Reader];
type Reader = (bytes: Buffer, at: number, end: number) => number | null;

// Each checks the length before it reads.
const u8: Reader = (bytes, at, end) => (at < end ? (bytes[at] as number) : null);
const u16: Reader = (bytes, at, end) =>
  at + 2 <= end ? (bytes[at] as number) | ((bytes[at + 1] as number) << 8) : null;
const u32: Reader = (bytes, at, end) => (at + 4 <= end ? word(bytes, at) : null);
const u64: Reader = (bytes, at, end) =>
  at + 8 <= end ? word(bytes, at) + word(bytes, at + 4) * 0x1_0000_0000 : null;
/** minmax_get() of a connection that has measured nothing yet is all ones. */
const minRtt: Reader = (bytes, at, end) => {
  const us = u32(bytes, at, end);
  return us === 0xffff_ffff ? null : us;
};

/** Where each field lies. A test compares this with the C compiler's view of the kernel's headers. */
export const tcpInfoLayout: Readonly<Record<keyof TcpInfo, Field>> = {
  state: ["tcpi_state", 0, u8],
  retransmits: ["tcpi_retransmits", 2, u8],
  probes: ["tcpi_probes", 3, u8],
  backoff: ["tcpi_backoff", 4, u8],
  rtoUs: ["tcpi_rto", 8, u32],
  unacked: ["tcpi_unacked", 24, u32],
  lost: ["tcpi_lost", 32, u32],
  lastDataSentMs: ["tcpi_last_data_sent", 44, u32],
  lastDataRecvMs: ["tcpi_last_data_recv", 52, u32],
  lastAckRecvMs: ["tcpi_last_ack_recv", 56, u32],
  pathMtu: ["tcpi_pmtu", 60, u32],
  rttUs: ["tcpi_rtt", 68, u32],
  rttVarUs: ["tcpi_rttvar", 72, u32],
  totalRetransmits: ["tcpi_total_retrans", 100, u32],
  bytesAcked: ["tcpi_bytes_acked", 120, u64],
  bytesReceived: ["tcpi_bytes_received", 128, u64],
  segmentsOut: ["tcpi_segs_out", 136, u32],
  segmentsIn: ["tcpi_segs_in", 140, u32],
  notsentBytes: ["tcpi_notsent_bytes", 144, u32],
  minRttUs: ["tcpi_min_rtt", 148, minRtt],
  busyTimeUs: ["tcpi_busy_time", 168, u64],
  rwndLimitedUs: ["tcpi_rwnd_limited", 176, u64],
  bytesSent: ["tcpi_bytes_sent", 200, u64],
  bytesRetransmitted: ["tcpi_bytes_retrans", 208, u64],
  sndWnd: ["tcpi_snd_wnd", 228, u32],
  rcvWnd: ["tcpi_rcv_wnd", 232, u32],
  totalRto: ["tcpi_total_rto", 240, u16],
  totalRtoTimeMs: ["tcpi_total_rto_time", 244, u32],
};

/** struct tcp_info as it was before Linux 4.1; every field up to here is a number, never null. */
const oldestLength = 104;

const names = Object.keys(tcpInfoLayout) as (keyof TcpInfo)[];

class TcpInfoView {
  constructor(
    readonly bytes: Buffer,
    readonly offset: number,
    readonly end: number,
  ) {}

  /** What JSON.stringify prints. */
  toJSON(): TcpInfo {
    return plain(this as unknown as TcpInfo);
  }
}

for (const name of names) {
  const [, at, read] = tcpInfoLayout[name];
  const get: (this: TcpInfoView) => TcpState | number | null =
    name === "state"
      ? function () {
          return stateFromNumber(read(this.bytes, this.offset + at, this.end) ?? 0);
        }
      : at < oldestLength
        ? function () {
            return read(this.bytes, this.offset + at, this.end) ?? 0;
          }
        : function () {
            return read(this.bytes, this.offset + at, this.end);
          };
  Object.defineProperty(TcpInfoView.prototype, name, { get, enumerable: true });
}

function plain(info: TcpInfo): TcpInfo {
  const copy: Partial<Record<keyof TcpInfo, unknown>> = {};
  for (const name of names) copy[name] = info[name];
  return copy as TcpInfo;
}

/**
 * A struct tcp_info that lies in `bytes` at `offset`, decoded field by field as it is asked for: ten times cheaper than
 * decodeTcpInfo where a dump brings thousands and few fields are looked at. The bytes must stay as they are for as long as
 * the view is used. Never throws: bytes that are not there read as 0 in the fields that every kernel gives, and as null in
 * the later ones.
 *
 * @example viewTcpInfo(dump, attributeOffset, attributeLength).lastAckRecvMs
 */
export function viewTcpInfo(bytes: Buffer, offset = 0, length = bytes.length - offset): TcpInfo {
  return new TcpInfoView(bytes, offset, Math.min(bytes.length, offset + length)) as unknown as TcpInfo;
}

/**
 * Decodes a struct tcp_info that lies in `bytes` at `offset`, whole and for good. Otherwise as viewTcpInfo.
 *
 * @example decodeTcpInfo(attribute, 4).lastAckRecvMs
 */
export function decodeTcpInfo(bytes: Buffer, offset = 0, length = bytes.length - offset): TcpInfo {
  return plain(viewTcpInfo(bytes, offset, length));
}

// Larger than any kernel's structure (280 bytes in 6.18); the kernel writes what it has and says how much.
const buffer = Buffer.alloc(512);
const bufferLength = Buffer.alloc(4);

/**
 * Reads the tcp_info of a socket of this process.
 *
 * @throws DeadpeerError `no-socket` if the descriptor is closed or not a TCP socket.
 */
export function readTcpInfo(fd: number): TcpInfo {
  return plain(peekTcpInfo(fd));
}

/** As readTcpInfo, for whoever looks at a few fields of many sockets: what it gives holds until the next socket is asked. */
export function peekTcpInfo(fd: number): TcpInfo {
  bufferLength.writeUInt32LE(buffer.length);
  if (libc().getsockopt(fd, IPPROTO_TCP, TCP_INFO, buffer, bufferLength) < 0)
    throw socketError(lastErrno(), "getsockopt(TCP_INFO)");
  return viewTcpInfo(buffer, 0, bufferLength.readUInt32LE());
}
