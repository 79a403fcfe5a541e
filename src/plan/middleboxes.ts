import { DeadpeerError } from "../errors.js";
import { parseDuration } from "./duration.js";
import type { Evidence } from "./evidence.js";
import { nearest } from "./nearest.js";

/** Something on the path that keeps state for each flow and forgets flows that are idle. */
export interface Middlebox {
  readonly id: string;
  readonly aliases?: readonly string[];
  readonly name: string;
  /** Idle time after which it forgets a flow, as it comes. */
  readonly idleMs: number;
  /** What it can be set to; absent: not known, or fixed. */
  readonly settableMs?: { readonly min: number; readonly max: number };
  /** Whether TCP keepalive probes reset that time. */
  readonly countsKeepalive: boolean;
  /** Whether it ends the TCP connection itself, so that probes reach it and not the peer behind it. */
  readonly terminates: boolean;
  readonly onExpiry: string;
  readonly source: string;
  readonly evidence: Evidence;
}

const second = 1_000;
const firewall = { countsKeepalive: true, terminates: false } as const;
const proxy = { countsKeepalive: false, terminates: true } as const;

export const middleboxes: readonly Middlebox[] = [
  {
    id: "aws-nlb",
    aliases: ["nlb"],
    name: "AWS Network Load Balancer",
    idleMs: 350 * second,
    settableMs: { min: 60 * second, max: 6_000 * second },
    ...firewall,
    onExpiry: "silent; a reset answers the next packet",
    source: "AWS What's New, 2024-09-03, configurable TCP idle timeout for NLB",
    evidence: "documented",
  },
  {
    id: "aws-alb",
    aliases: ["alb"],
    name: "AWS Application Load Balancer",
    idleMs: 60 * second,
    ...proxy,
    onExpiry: "closes both connections; an HTTP/2 PING does not count either",
    source: "AWS documentation, Application Load Balancers, connection idle timeout",
    evidence: "documented",
  },
  {
    id: "aws-clb",
    aliases: ["aws-elb", "clb"],
    name: "AWS Classic Load Balancer",
    idleMs: 60 * second,
    ...proxy,
    onExpiry: "closes both connections",
    source: "AWS documentation, Classic Load Balancers (that keepalive does not count); the time is recalled",
    evidence: "recalled",
  },
  {
    id: "aws-nat-gateway",
    aliases: ["aws-nat"],
    name: "AWS NAT gateway",
    idleMs: 350 * second,
    ...firewall,
    onExpiry: "a reset answers the next packet",
    source: "a third party's description of AWS NAT gateways",
    evidence: "third-party",
  },
  {
    id: "aws-network-firewall",
    name: "AWS Network Firewall",
    idleMs: 350 * second,
    settableMs: { min: 60 * second, max: 6_000 * second },
    ...firewall,
    onExpiry: "drops what follows",
    source: "AWS Network Firewall API reference, FlowTimeouts",
    evidence: "documented",
  },
  {
    id: "ec2-security-group",
    aliases: ["aws-security-group", "ec2-conntrack"],
    name: "EC2 security group (connection tracking)",
    idleMs: 432_000 * second,
    settableMs: { min: 60 * second, max: 432_000 * second },
    ...firewall,
    onExpiry: "not stated",
    source: "EC2 API reference, ConnectionTrackingSpecificationRequest",
    evidence: "documented",
  },
  {
    id: "azure-load-balancer",
    aliases: ["azure-lb"],
    name: "Azure Load Balancer",
    idleMs: 240 * second,
    settableMs: { min: 240 * second, max: 1_800 * second },
    ...firewall,
    onExpiry: "silent; a reset in both directions if that is enabled",
    source: "Microsoft Learn, Azure Load Balancer, TCP reset and idle timeout",
    evidence: "documented",
  },
  {
    id: "azure-nat-gateway",
    aliases: ["azure-nat"],
    name: "Azure NAT gateway",
    idleMs: 240 * second,
    ...firewall,
    onExpiry: "silent; a reset answers the next packet",
    source: "Microsoft Learn, Azure NAT Gateway; the time is from a third party",
    evidence: "third-party",
  },
  {
    id: "gcp-firewall",
    aliases: ["gcp-vpc"],
    name: "Google Cloud VPC firewall (connection tracking)",
    idleMs: 600 * second,
    ...firewall,
    onExpiry: "the rules apply anew to what follows",
    source: "Google Cloud documentation, VPC firewall; it advises keepalive 60 s / 60 s / 5",
    evidence: "documented",
  },
  {
    id: "gcp-cloud-nat",
    aliases: ["gcp-nat"],
    name: "Google Cloud NAT",
    idleMs: 1_200 * second,
    ...firewall,
    onExpiry: "silent",
    source: "a third party's description of Cloud NAT",
    evidence: "third-party",
  },
  {
    id: "gcp-alb",
    name: "Google Cloud Application Load Balancer, to its backends",
    idleMs: 600 * second,
    ...proxy,
    onExpiry: "closes the connection; the time is fixed",
    source: "Google Cloud documentation, backend keepalive timeout",
    evidence: "recalled",
  },
  {
    id: "linux-conntrack",
    aliases: ["conntrack", "nf-conntrack"],
    name: "Linux nf_conntrack, established flows",
    idleMs: 432_000 * second,
    ...firewall,
    onExpiry: "silent",
    source: "Documentation/networking/nf_conntrack-sysctl.rst, nf_conntrack_tcp_timeout_established",
    evidence: "documented",
  },
  {
    id: "ipvs",
    aliases: ["kube-proxy-ipvs"],
    name: "Linux IPVS (kube-proxy in ipvs mode)",
    idleMs: 900 * second,
    ...firewall,
    onExpiry: "not stated",
    source: "net/netfilter/ipvs/ip_vs_proto_tcp.c, tcp_timeouts",
    evidence: "documented",
  },
  {
    id: "rfc5382",
    aliases: ["rfc5382-nat"],
    name: "a NAT that keeps to RFC 5382 REQ-5",
    idleMs: 7_440 * second,
    ...firewall,
    onExpiry: "not stated; 2 h 4 min is the least the RFC allows",
    source: "RFC 5382, REQ-5",
    evidence: "documented",
  },
  {
    id: "cisco-asa",
    aliases: ["cisco-ftd"],
    name: "Cisco ASA or Firepower Threat Defense",
    idleMs: 3_600 * second,
    ...firewall,
    onExpiry: "frees the connection slot",
    source: "Cisco documentation, timeout conn",
    evidence: "documented",
  },
  {
    id: "fortigate",
    name: "FortiGate",
    idleMs: 3_600 * second,
    ...firewall,
    onExpiry: "not stated",
    source: "Fortinet documentation, session TTL",
    evidence: "documented",
  },
  {
    id: "palo-alto",
    aliases: ["paloalto"],
    name: "Palo Alto Networks firewall",
    idleMs: 3_600 * second,
    ...firewall,
    onExpiry: "not stated",
    source: "Palo Alto Networks documentation, session timeouts",
    evidence: "recalled",
  },
];

/**
 * A box by its name in the catalogue or an alias; or, by a duration, a box of one's own that forgets idle flows after it.
 *
 * @throws DeadpeerError `unknown-path` with the nearest name, or `bad-duration`.
 * @example findMiddlebox("azure-lb").idleMs // 240000
 * @example findMiddlebox("90s").idleMs // 90000
 */
export function findMiddlebox(name: string): Middlebox {
  const wanted = name.trim().toLowerCase();
  if (/^-?\d/.test(wanted)) return ownBox(wanted);
  const found = middleboxes.find(({ id, aliases }) => id === wanted || aliases?.includes(wanted));
  if (found !== undefined) return found;
  const guess = nearest(
    wanted,
    middleboxes.flatMap(({ id, aliases = [] }) => [id].concat(aliases)),
  );
  throw new DeadpeerError(
    "unknown-path",
    `path: no middlebox is called "${name}"; did you mean ${guess}? \`deadpeer plan --list paths\` names all, and a box of your own can be given by its idle timeout, e.g. 90s`,
  );
}

function ownBox(timeout: string): Middlebox {
  const idleMs = parseDuration(timeout, "path");
  if (idleMs === 0) throw new DeadpeerError("bad-duration", "path: an idle timeout of 0 forgets every flow");
  return {
    id: timeout,
    name: "A box of your own",
    idleMs,
    ...firewall,
    onExpiry: "not stated",
    source: "given as a duration",
    evidence: "documented",
  };
}
