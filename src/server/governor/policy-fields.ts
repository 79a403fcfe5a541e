import type { GovernorPolicy } from "./policy.js";
import {
  callable,
  duration,
  durationOrObject,
  type Fields,
  number,
  object,
  oneOf,
  orNull,
  problemIn,
  required,
  texts,
  whole,
  yesOrNo,
} from "./shape.js";

type Part<K extends keyof GovernorPolicy> = Fields<Extract<NonNullable<GovernorPolicy[K]>, object>>;

const count = whole(1);
const partOf1 = orNull(number((value) => value > 0 && value <= 1, "give a part of 1, such as 0.9, or null"));

const body: Part<"body"> = {
  bytesPerSecond: required(number((value) => value > 0, "give a number of bytes above 0")),
  window: duration,
};
const maxAge: Part<"maxAge"> = {
  after: required(duration),
  jitter: number((value) => value >= 0 && value <= 1, "give a part of 1, from 0 on, such as 0.1"),
  grace: duration,
};
const newPerClient: Part<"newPerClient"> = { count: required(count), within: required(duration) };
const header: Fields<NonNullable<NonNullable<GovernorPolicy["client"]>["header"]>> = {
  name: required(oneOf("x-forwarded-for", "forwarded")),
  from: required(texts),
};
const client: Part<"client"> = {
  ipv6Prefix: whole(1, 128),
  key: callable,
  header: object(header, 'give { name: "x-forwarded-for", from: ["10.0.0.7"] }'),
};
const proxy: Part<"proxy"> = { from: required(texts), within: duration, direct: yesOrNo };
const pressure: Part<"pressure"> = { descriptors: partOf1, memory: partOf1 };

const fields: Fields<GovernorPolicy> = {
  detect: durationOrObject,
  idle: duration,
  firstByte: duration,
  handshake: duration,
  head: duration,
  body: object(body, "give { bytesPerSecond: 500 }"),
  maxAge: object(maxAge, 'give a duration such as "1h", or { after: "1h" }', duration),
  total: count,
  perClient: count,
  newPerClient: object(newPerClient, 'give { count: 50, within: "10s" }'),
  atLimit: oneOf("refuse", "evict"),
  cluster: yesOrNo,
  client: object(client, "give { ipv6Prefix: 56 }, for example"),
  proxy: object(proxy, 'give { from: ["10.0.0.0/8"] }'),
  pressure: orNull(object(pressure, "give { descriptors: 0.9, memory: 0.9 }, or null")),
};

/** What is wrong with a policy's shape, in words that begin with the field; null: nothing. Durations and networks are read later. */
export function problemInPolicy(policy: unknown): string | null {
  if (typeof policy !== "object" || policy === null || Array.isArray(policy))
    return 'policy: give an object, such as { idle: "5m", perClient: 100 }';
  return problemIn(policy, fields);
}
