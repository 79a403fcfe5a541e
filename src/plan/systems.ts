import type { Evidence } from "./evidence.js";
import type { KeepaliveSettings } from "./settings.js";

/** A socket option or switch by which an operating system can be told about dead peers. */
export interface SystemOption {
  readonly name: string;
  /** The option's number; null: it is no socket option, or the number is not known here. */
  readonly number: number | null;
  readonly unit: "s" | "ms" | "probes" | "switch";
  readonly note?: string;
}

/** An operating system's keepalive as it comes. */
export interface OperatingSystem {
  readonly id: string;
  readonly name: string;
  /** null where the system does not count probes that way. */
  readonly defaults: KeepaliveSettings | null;
  /** How long an idle connection leaves a dead peer unnoticed once keepalive is on. */
  readonly noticedAfterMs: number;
  readonly options: readonly SystemOption[];
  readonly note?: string;
  readonly source: string;
  readonly evidence: Evidence;
}

const twoHoursMs = 7_200_000;
const berkeley = { idleMs: twoHoursMs, intervalMs: 75_000, count: 8 };

const windowsOptions: readonly SystemOption[] = [
  { name: "TCP_KEEPIDLE", number: 3, unit: "s", note: "Windows 10 1709 and later" },
  { name: "TCP_KEEPINTVL", number: 17, unit: "s", note: "Windows 10 1709 and later" },
  { name: "TCP_KEEPCNT", number: 16, unit: "probes", note: "Windows 10 1703 and later, at most 255" },
  { name: "TCP_MAXRT", number: 5, unit: "s", note: "limit for data in flight" },
  { name: "SIO_KEEPALIVE_VALS", number: null, unit: "ms", note: "a WSAIoctl: on or off, idle, interval" },
];

export const operatingSystems: readonly OperatingSystem[] = [
  {
    id: "linux",
    name: "Linux",
    defaults: { idleMs: twoHoursMs, intervalMs: 75_000, count: 9 },
    noticedAfterMs: 7_875_000,
    options: [
      { name: "TCP_KEEPIDLE", number: 4, unit: "s", note: "1 to 32767" },
      { name: "TCP_KEEPINTVL", number: 5, unit: "s", note: "1 to 32767" },
      { name: "TCP_KEEPCNT", number: 6, unit: "probes", note: "1 to 127" },
      { name: "TCP_USER_TIMEOUT", number: 18, unit: "ms", note: "replaces the count" },
      { name: "TCP_RTO_MAX_MS", number: 44, unit: "ms", note: "1000 to 120000, Linux 6.15 and later" },
    ],
    source: "include/net/tcp.h and include/uapi/linux/tcp.h, Linux 6.18",
    evidence: "documented",
  },
  {
    id: "windows",
    name: "Windows Vista and later",
    defaults: { idleMs: twoHoursMs, intervalMs: 1_000, count: 10 },
    noticedAfterMs: 7_210_000,
    options: windowsOptions,
    source: "Microsoft Learn, IPPROTO_TCP socket options and SIO_KEEPALIVE_VALS",
    evidence: "documented",
  },
  {
    id: "windows-xp",
    name: "Windows XP and Server 2003",
    defaults: { idleMs: twoHoursMs, intervalMs: 1_000, count: 5 },
    noticedAfterMs: 7_205_000,
    options: windowsOptions.filter(({ name }) => name === "SIO_KEEPALIVE_VALS"),
    source: "Microsoft Learn, SIO_KEEPALIVE_VALS",
    evidence: "documented",
  },
  {
    id: "macos",
    name: "macOS",
    defaults: berkeley,
    noticedAfterMs: 7_800_000,
    options: [
      { name: "TCP_KEEPALIVE", number: 0x10, unit: "s", note: "the idle time" },
      { name: "TCP_CONNECTIONTIMEOUT", number: 0x20, unit: "s", note: "limit for connecting" },
      { name: "PERSIST_TIMEOUT", number: 0x40, unit: "s", note: "limit for a zero window" },
      { name: "TCP_RXT_CONNDROPTIME", number: 0x80, unit: "s", note: "limit for data in flight" },
      { name: "TCP_KEEPINTVL", number: 0x101, unit: "s" },
      { name: "TCP_KEEPCNT", number: 0x102, unit: "probes" },
    ],
    note: "the options are read in xnu's bsd/netinet/tcp.h, the defaults are recalled",
    source: "xnu, bsd/netinet/tcp.h and tcp_timer.h",
    evidence: "recalled",
  },
  {
    id: "freebsd",
    name: "FreeBSD",
    defaults: berkeley,
    noticedAfterMs: 7_800_000,
    options: [
      { name: "TCP_KEEPIDLE", number: 0x100, unit: "s", note: "number recalled" },
      { name: "TCP_KEEPINTVL", number: 0x200, unit: "s", note: "number recalled" },
      { name: "TCP_KEEPCNT", number: 0x400, unit: "probes", note: "number recalled" },
      { name: "TCP_MAXUNACKTIME", number: 0x44, unit: "s", note: "limit for data in flight, FreeBSD 14" },
      { name: "net.inet.tcp.keepidle", number: null, unit: "ms", note: "a sysctl, in ms" },
      { name: "net.inet.tcp.always_keepalive", number: null, unit: "switch", note: "on for every socket" },
    ],
    source: "tcp(4)",
    evidence: "documented",
  },
  {
    id: "illumos",
    name: "illumos",
    defaults: null,
    noticedAfterMs: 7_680_000,
    options: [
      { name: "TCP_KEEPALIVE_THRESHOLD", number: 0x16, unit: "ms", note: "the idle time" },
      { name: "TCP_KEEPALIVE_ABORT_THRESHOLD", number: 0x17, unit: "ms", note: "probing until dead" },
      { name: "TCP_KEEPIDLE", number: 0x22, unit: "s" },
      { name: "TCP_KEEPCNT", number: 0x23, unit: "probes" },
      { name: "TCP_KEEPINTVL", number: 0x24, unit: "s" },
    ],
    note: "2 h of silence, then dead after 8 min of probing, at intervals that grow",
    source: "tcp(4P)",
    evidence: "documented",
  },
  {
    id: "berkeley",
    name: "4.4BSD (Stevens)",
    defaults: { ...berkeley, count: 9 },
    noticedAfterMs: 7_875_000,
    options: [
      { name: "SO_KEEPALIVE", number: null, unit: "switch", note: "the times were kernel constants" },
    ],
    note: "first probe after 2 h, 8 more 75 s apart, and dead 75 s behind the last: 11 min 15 s of probing",
    source: "W. R. Stevens, TCP/IP Illustrated, volumes 1 (chapter 23) and 2",
    evidence: "documented",
  },
];
