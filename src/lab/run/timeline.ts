import type { EventKind } from "../../capture/index.js";
import type { ProgramEvent } from "../program.js";

type Kept<T> = T extends unknown ? Omit<T, "at"> : never;

/** Something that happened in a run: what the lab did, what a program said, what a kernel held, what went over a wire. */
export type LabEvent = {
  /** Since time 0, the moment in which all connections stood. */
  readonly atMs: number;
} & (
  | {
      readonly source: "lab";
      readonly action: string;
      readonly name: string | null;
      /** What the step said. */
      readonly details: unknown;
    }
  | ({ readonly source: "program"; readonly host: string; readonly program: string } & Kept<ProgramEvent>)
  | KernelEvent
  | WireEvent
);

/** A socket that appeared, changed its state or timer, or is gone. */
export interface KernelEvent extends SocketView {
  readonly atMs: number;
  readonly source: "kernel";
  readonly host: string;
  readonly gone: boolean;
}

export interface WireEvent {
  readonly atMs: number;
  readonly source: "wire";
  /** The host whose wire was looked at. */
  readonly on: string;
  readonly frame: number;
  readonly kind: EventKind;
  /** Host names; an address where it is none's. */
  readonly from: string;
  readonly to: string;
  /** null: not one that a program named. */
  readonly connection: string | null;
}

/** A socket as the kernel showed it at one moment. */
export interface SocketView {
  readonly cookie: string;
  readonly connection: string | null;
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly timer: string;
  readonly sendQueue: number;
  readonly receiveQueue: number;
}

/** Address and port as one text, the same wherever it comes from. */
export function endpointText({ address, port }: { readonly address: string; readonly port: number }): string {
  return `${address} ${port}`;
}
