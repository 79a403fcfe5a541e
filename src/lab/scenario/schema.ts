import { z } from "zod";
import { eventKinds } from "../../capture/index.js";
import { timerKinds } from "../../kernel/diag-socket.js";
import { type TcpState, tcpStates } from "../../kernel/tcp-states.js";
import { parseDuration } from "../../plan/duration.js";
import { regimes } from "../../plan/model.js";
import { timers } from "../../verdict/evidence.js";
import { verdictStates } from "../../verdict/finding.js";

/**
 * What a scenario file may say. The published JSON Schema is made from this (scripts/build.js), so every field says here what it
 * means.
 */

const name = z
  .string()
  .regex(
    /^[a-z][a-z0-9-]{0,14}$/,
    "a name has 1 to 15 letters a-z, digits and hyphens, and begins with a letter",
  );

/** Durations are text with a unit, and milliseconds from here on. */
const duration = z
  .string()
  .regex(/^(0|(\d+(\.\d+)?(ms|s|m|h))+)$/, 'a duration has a unit, such as "500ms", "2s" or "1m30s"')
  .transform((text) => parseDuration(text, "a duration"));

const port = z.number().int().min(1).max(65_535);
const family = z.union([z.literal(4), z.literal(6)]);
const range = z
  .union([z.number().int().min(0), z.tuple([z.number().int().min(0), z.number().int().min(0)])])
  .describe("exactly so many, or from … to …");
const window = z.tuple([duration, duration]).describe("not before the first, not after the second");

const settings = z
  .strictObject({
    idle: duration.optional().describe("TCP_KEEPIDLE; without it keepalive is off"),
    interval: duration.optional().describe("TCP_KEEPINTVL"),
    count: z.number().int().min(1).max(127).optional().describe("TCP_KEEPCNT"),
    userTimeout: duration.optional().describe("TCP_USER_TIMEOUT; 0 or absent: the system's limits decide"),
  })
  .describe("what a socket is told about dead peers; keepalive needs idle, interval and count");

const listen = z.strictObject({
  port,
  as: z
    .enum(["quiet", "echo", "deaf", "chatter", "half-open", "proxy"])
    .describe(
      "quiet reads and never answers; echo answers what it reads; deaf never reads; chatter writes a line every so often; half-open reads, and keeps its side open when the peer ends; proxy passes on to another host",
    ),
  settings: settings.optional().describe("set on the listening socket; accepted ones inherit them"),
  every: duration.optional().describe("chatter: the time between two lines"),
  to: name.optional().describe("proxy: the host to pass on to"),
  toPort: port.optional().describe("proxy: the port there"),
  idle: duration
    .optional()
    .describe("proxy: closes both sides after so long without data; keepalive does not count"),
});

const connect = z.strictObject({
  to: name.describe("a host"),
  port,
  settings: settings.optional(),
  halfOpen: z.boolean().optional().describe("stays open when the peer ends its side"),
});

const program = z
  .strictObject({
    host: name,
    listen: listen.optional(),
    connect: z.record(name, connect).optional().describe("guarded connections, by name, made before time 0"),
    command: z
      .array(z.string())
      .min(1)
      .optional()
      .describe('any program in place of the lab\'s own; "{server}" becomes the address of the host server'),
    listens: port.optional().describe("a command is ready when something on its host listens on this port"),
    connects: port.optional().describe("a command is ready when its host has a connection to this port"),
    starts: z.literal("later").optional().describe("started by a step, not before time 0"),
  })
  .describe("a process on a host: one of the lab's own that listens or connects, or a command");

const path = {
  from: name.optional().describe("only packets from this host"),
  to: name.optional().describe("only packets to this host"),
  between: z.tuple([name, name]).optional().describe("both ways between these hosts"),
  port: port.optional().describe("only TCP segments to or from this port"),
  connection: name.optional().describe("only segments of this connection"),
};

/** ICMP's unreachable codes as nftables names them, each for the family that has it. */
export const icmpCodes = [
  "net-unreachable",
  "host-unreachable",
  "prot-unreachable",
  "port-unreachable",
  "net-prohibited",
  "host-prohibited",
  "admin-prohibited",
] as const;
export const icmpv6Codes = [
  "no-route",
  "admin-prohibited",
  "addr-unreachable",
  "port-unreachable",
  "policy-fail",
  "reject-route",
] as const;
const rejections = z.enum([
  "rst",
  ...icmpCodes,
  ...icmpv6Codes.filter((code) => !["admin-prohibited", "port-unreachable"].includes(code)),
] as const);

const drop = z.strictObject({
  ...path,
  share: z.number().gt(0).max(100).optional().describe("in percent; all without it"),
});
const reject = z.strictObject({
  ...path,
  with: rejections.describe(
    "an RST in the receiver's name, or an ICMP error of the router; codes that only one family has stand for their nearest in the other",
  ),
});
const flap = z.strictObject({ ...path, down: duration, up: duration });
const onHost = z.strictObject({ host: name });
const onProgram = z.strictObject({ program: name });
const talk = { program: name, connection: name.optional().describe("all of the program's without it") };

/** What a step can do: one of these stands in each step. */
export const actions = {
  drop: drop.describe("the router drops packets"),
  reject: reject.describe("the router refuses packets and says so"),
  flap: flap.describe("the path goes down and comes back, again and again, until it is healed"),
  unplug: onHost.describe("the cable is pulled out of the host"),
  linkDown: onHost.describe("the host takes its own interface down"),
  removeAddress: onHost.describe("the host loses its addresses"),
  heal: z
    .strictObject({ fault: name.describe("the name of the step that made it") })
    .describe("ends a fault"),
  crash: onHost.describe("the host loses power: no answer at all, not even to ARP"),
  reboot: onHost.describe("the host comes back with the same address and no memory"),
  kill: onProgram.describe("SIGKILL: the kernel closes its sockets"),
  stop: onProgram.describe("SIGSTOP: the kernel answers, the program does not"),
  continue: onProgram.describe("SIGCONT"),
  start: onProgram.describe("starts a program that starts later, or again"),
  write: z
    .strictObject({
      ...talk,
      text: z.string().optional(),
      bytes: z
        .number()
        .int()
        .min(1)
        .max(1 << 28)
        .optional(),
    })
    .describe("the program writes text, or so many bytes"),
  end: z.strictObject(talk).describe("the program ends its side in order (FIN)"),
  destroy: z.strictObject(talk).describe("the program closes its socket"),
  set: z.strictObject({ ...talk, settings }).describe("changes the settings of live connections"),
  snapshot: z.strictObject(talk).describe("the program reports the kernel's tcp_info"),
  heartbeat: z
    .strictObject({ ...talk, every: duration, misses: z.number().int().min(1) })
    .describe("the program writes a line that an echo answers; so many unanswered ones end the connection"),
  exchange: z
    .strictObject({
      program: name,
      to: name,
      port,
      times: z.number().int().min(1).max(100_000),
      connections: z.enum(["one", "each"]).describe("one connection for all, or one for each exchange"),
    })
    .describe("so many questions and answers with an echo"),
} as const;
export type ActionName = keyof typeof actions;

const stepCommon = {
  at: duration.describe("since time 0, the moment in which all connections stood"),
  name: name.optional().describe("for heal and since"),
};
type StepOf<K extends ActionName> = { at: number; name?: string | undefined } & {
  [P in K]: z.output<(typeof actions)[P]>;
};
export type Step = {
  [K in ActionName]: StepOf<K> & { [Other in Exclude<ActionName, K>]?: never };
}[ActionName];

const expectCommon = {
  text: z.string().optional().describe("what this shows, in words"),
  between: window.optional(),
  since: name.optional().describe("a step from which on the times count; time 0 without it"),
  count: range.optional(),
  family: family.optional().describe("holds for this family only"),
};

/** What programs tell of: see peers/protocol.ts; output and exit also of commands. */
const programEvents = [
  "listening",
  "connected",
  "accepted",
  "data",
  "drained",
  "end",
  "error",
  "close",
  "settings",
  "snapshot",
  "answered",
  "missed",
  "exchanged",
  "output",
  "exit",
] as const;

/** All states of connections: who listens has none, nor has a socket that is only bound. */
export const watchedStates: readonly TcpState[] = tcpStates.filter(
  (state) => state !== "LISTEN" && state !== "BOUND_INACTIVE",
);

/** What can be expected: one of these stands in each expectation. */
export const observations = {
  verdict: z
    .strictObject({
      program: name,
      connection: name.optional(),
      state: z.enum(verdictStates),
      timer: z.enum(timers).optional(),
      regime: z.enum(regimes).optional(),
      errno: z.string().nullable().optional(),
      certainty: z.enum(["certain", "likely"]).optional(),
    })
    .describe("the verdict that the guard in the program gave"),
  program: z
    .strictObject({
      program: name,
      connection: name.optional(),
      event: z.enum(programEvents),
      errno: z.string().optional(),
      settings: settings.optional().describe("as the kernel holds them"),
      bytes: z.number().int().min(0).optional(),
      text: z.string().optional().describe("is contained in what was read or printed"),
    })
    .describe(
      "something that the program saw or did: connected, accepted, data, end, error, close, exit, exchanged, …",
    ),
  wire: z
    .strictObject({
      kind: z.enum([...eventKinds, "frames"]).describe("as Wireshark names it; or frames: all packets"),
      from: name.optional().describe("the host that sent it"),
      on: name.optional().describe("the host whose wire is looked at"),
      port: port.optional().describe("the port of the one who listens"),
      connection: name.optional(),
    })
    .describe("packets"),
  sockets: z
    .strictObject({
      host: name,
      state: z.enum(watchedStates),
      port: port.optional().describe("on either side"),
      timer: z.enum(timerKinds).optional(),
      connection: name.optional(),
    })
    .describe("sockets in the kernel, at one moment of the window and from then on to its end"),
} as const;
export type ObservationName = keyof typeof observations;

type ExpectationOf<K extends ObservationName> = {
  text?: string | undefined;
  between?: [number, number] | undefined;
  since?: string | undefined;
  count?: number | [number, number] | undefined;
  family?: 4 | 6 | undefined;
} & { [P in K]: z.output<(typeof observations)[P]> };
export type Expectation = {
  [K in ObservationName]: ExpectationOf<K> & { [Other in Exclude<ObservationName, K>]?: never };
}[ObservationName];

function oneOf<Output>(common: z.ZodRawShape, choices: Record<string, z.ZodType>): z.ZodType<Output> {
  const options = Object.entries(choices).map(([key, schema]) =>
    z.strictObject({ ...common, [key]: schema }),
  );
  return z.union(options) as unknown as z.ZodType<Output>;
}

const nat = z
  .strictObject({
    inside: z.array(name).min(1).describe("the hosts behind it"),
    idle: duration.optional().describe("forgets a flow after so long without a packet"),
    flows: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe("room for so many flows; a new one pushes out the least recently used"),
    forgotten: z.enum(["drop", "rst"]).describe("what becomes of packets of a flow that it does not know"),
  })
  .describe("the router translates addresses");

export const scenarioSchema = z
  .strictObject({
    $schema: z.string().optional(),
    name: z.string().regex(/^[a-z0-9][a-z0-9-]*$/, "a scenario's name has letters a-z, digits and hyphens"),
    title: z.string().min(1).describe("what happens, in one line"),
    belief: z.string().optional().describe("what books or common belief say, where they differ"),
    outcome: z.string().min(1).describe("what this kernel does"),
    families: z.array(family).min(1).optional().describe("4, 6; both without it"),
    hosts: z.record(
      name,
      z.strictObject({ sysctls: z.record(z.string(), z.union([z.string(), z.number()])).optional() }),
    ),
    nat: nat.optional(),
    programs: z.record(name, program),
    subject: name
      .optional()
      .describe("the connection whose verdict is the scenario's; the first one without it"),
    capture: z
      .array(name)
      .min(1)
      .optional()
      .describe(
        "the hosts whose wires are captured; without it that of the subject and of every other with guarded programs",
      ),
    steps: z.array(oneOf<Step>(stepCommon, actions)),
    lasts: duration.describe("how long to watch"),
    expect: z.array(oneOf<Expectation>(expectCommon, observations)).min(1),
  })
  .describe("A scenario of deadpeer's lab");

export type Scenario = z.output<typeof scenarioSchema>;
export type ScenarioProgram = z.output<typeof program>;
export type SettingsText = z.output<typeof settings>;
export type PathSpec = {
  from?: string | undefined;
  to?: string | undefined;
  between?: [string, string] | undefined;
  port?: number | undefined;
  connection?: string | undefined;
};
export type Rejection = z.output<typeof rejections>;
