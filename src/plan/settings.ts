/** TCP's own keepalive settings, in milliseconds; Linux keeps idle and interval in whole seconds. */
export interface KeepaliveSettings {
  /** Silence after which the first probe is sent (TCP_KEEPIDLE). */
  readonly idleMs: number;
  /** Time between unanswered probes (TCP_KEEPINTVL). */
  readonly intervalMs: number;
  /** Unanswered probes after which the connection is dead (TCP_KEEPCNT); without effect under a user timeout. */
  readonly count: number;
}

/** What one socket can be told about dead peers. */
export interface Settings {
  /** null: SO_KEEPALIVE is off. */
  readonly keepalive: KeepaliveSettings | null;
  /** TCP_USER_TIMEOUT; 0: the system's retransmission limits decide. */
  readonly userTimeoutMs: number;
  /** TCP_RTO_MAX_MS (Linux 6.15 and later); absent: the system's 120 s. */
  readonly rtoMaxMs?: number;
}

/** What to change about a socket; what is left out stays as it is. Complete settings are a change too. */
export interface SettingsChange {
  /** null: switch keepalive off. Anything else switches it on, with the times given and otherwise those the socket has. */
  readonly keepalive?: Partial<KeepaliveSettings> | null;
  readonly userTimeoutMs?: number;
}

/** What the system decides for every socket that does not decide itself. */
export interface SystemDefaults {
  /** net.ipv4.tcp_keepalive_time, _intvl and _probes. */
  readonly keepalive: KeepaliveSettings;
  /** net.ipv4.tcp_retries2. */
  readonly retries2: number;
  /** net.ipv4.tcp_syn_retries. */
  readonly synRetries: number;
  /** net.ipv4.tcp_syn_linear_timeouts (Linux 6.5 and later; 0 before). */
  readonly synLinearTimeouts: number;
  /** The shortest retransmission timeout, TCP_RTO_MIN. */
  readonly rtoMinMs: number;
  /** The longest, net.ipv4.tcp_rto_max_ms (Linux 6.15 and later; a constant 120 s before). */
  readonly rtoMaxMs: number;
}

/** Linux as it comes. Source: Documentation/networking/ip-sysctl.rst and include/net/tcp.h, Linux 6.18. */
export const linuxDefaults: SystemDefaults = {
  keepalive: { idleMs: 7_200_000, intervalMs: 75_000, count: 9 },
  retries2: 15,
  synRetries: 6,
  synLinearTimeouts: 4,
  rtoMinMs: 200,
  rtoMaxMs: 120_000,
};

/** What Linux accepts (include/net/tcp.h: MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT). */
export const linuxLimits = {
  idleMs: { min: 1_000, max: 32_767_000 },
  intervalMs: { min: 1_000, max: 32_767_000 },
  count: { min: 1, max: 127 },
  /** TCP_USER_TIMEOUT is an int of milliseconds. */
  userTimeoutMs: { min: 0, max: 2_147_483_647 },
  rtoMaxMs: { min: 1_000, max: 120_000 },
} as const;
