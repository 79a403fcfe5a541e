import { IPPROTO_TCP, TCP_INFO } from "./abi.js";
import { lastErrno, libc } from "./libc.js";
import { socketError } from "./socket-error.js";
import { stateFromNumber, type TcpState } from "./tcp-states.js";

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
  /** Linux 4.6. The smallest round-trip time of the last minutes; 4294967295: none measured. */
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

/** Where each field starts. A test compares these with the C compiler's view of the kernel's headers. */
export const tcpInfoOffsets = {
  state: 0,
  retransmits: 2,
  probes: 3,
  backoff: 4,
  rto: 8,
  unacked: 24,
  lost: 32,
  last_data_sent: 44,
  last_data_recv: 52,
  last_ack_recv: 56,
  pmtu: 60,
  rtt: 68,
  rttvar: 72,
  total_retrans: 100,
  bytes_acked: 120,
  bytes_received: 128,
  segs_out: 136,
  segs_in: 140,
  notsent_bytes: 144,
  min_rtt: 148,
  busy_time: 168,
  rwnd_limited: 176,
  bytes_sent: 200,
  bytes_retrans: 208,
  snd_wnd: 228,
  rcv_wnd: 232,
  total_rto: 240,
  total_rto_time: 244,
} as const;

const at = tcpInfoOffsets;

/**
 * Decodes a struct tcp_info that lies in `bytes` at `offset`, without copying. Never throws: bytes that are not there read as
 * 0 in the fields that every kernel gives, and as null in the later ones.
 *
 * @example decodeTcpInfo(attribute, 4).lastAckRecvMs
 */
export function decodeTcpInfo(bytes: Buffer, offset = 0, length = bytes.length - offset): TcpInfo {
  const end = Math.max(0, Math.min(length, bytes.length - offset));
  const u8 = (field: number): number => (field < end ? (bytes[offset + field] as number) : 0);
  const u32 = (field: number): number => (field + 4 <= end ? bytes.readUInt32LE(offset + field) : 0);
  const u16orNull = (field: number): number | null =>
    field + 2 <= end ? bytes.readUInt16LE(offset + field) : null;
  const u32orNull = (field: number): number | null =>
    field + 4 <= end ? bytes.readUInt32LE(offset + field) : null;
  const u64orNull = (field: number): number | null =>
    field + 8 <= end
      ? bytes.readUInt32LE(offset + field) + bytes.readUInt32LE(offset + field + 4) * 0x1_0000_0000
      : null;
  return {
    state: stateFromNumber(u8(at.state)),
    retransmits: u8(at.retransmits),
    probes: u8(at.probes),
    backoff: u8(at.backoff),
    rtoUs: u32(at.rto),
    unacked: u32(at.unacked),
    lost: u32(at.lost),
    lastDataSentMs: u32(at.last_data_sent),
    lastDataRecvMs: u32(at.last_data_recv),
    lastAckRecvMs: u32(at.last_ack_recv),
    pathMtu: u32(at.pmtu),
    rttUs: u32(at.rtt),
    rttVarUs: u32(at.rttvar),
    totalRetransmits: u32(at.total_retrans),
    bytesAcked: u64orNull(at.bytes_acked),
    bytesReceived: u64orNull(at.bytes_received),
    segmentsOut: u32orNull(at.segs_out),
    segmentsIn: u32orNull(at.segs_in),
    notsentBytes: u32orNull(at.notsent_bytes),
    minRttUs: u32orNull(at.min_rtt),
    busyTimeUs: u64orNull(at.busy_time),
    rwndLimitedUs: u64orNull(at.rwnd_limited),
    bytesSent: u64orNull(at.bytes_sent),
    bytesRetransmitted: u64orNull(at.bytes_retrans),
    sndWnd: u32orNull(at.snd_wnd),
    rcvWnd: u32orNull(at.rcv_wnd),
    totalRto: u16orNull(at.total_rto),
    totalRtoTimeMs: u32orNull(at.total_rto_time),
  };
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
  bufferLength.writeUInt32LE(buffer.length);
  if (libc().getsockopt(fd, IPPROTO_TCP, TCP_INFO, buffer, bufferLength) < 0)
    throw socketError(lastErrno(), "getsockopt(TCP_INFO)");
  return decodeTcpInfo(buffer, 0, bufferLength.readUInt32LE());
}
