import { errnoName } from "../errno.js";
import { OwnedFd } from "../fd.js";
import { BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_GET_FD_BY_ID, BPF_PROG_LOAD } from "./abi.js";
import { bpf, BpfAttributes, tryBpf } from "./call.js";
import { bpfError } from "./errors.js";
import { objectName } from "./maps.js";
import { VerifierError } from "./verifier-log.js";

export interface ProgramSource {
  /** At most 15 letters, digits, dots and underscores. */
  readonly name: string;
  /** BPF_PROG_TYPE_… */
  readonly type: number;
  /** BPF_CGROUP_…; only for types that serve several. */
  readonly expectedAttachType?: number;
  /** Instructions, from Assembler.assemble. */
  readonly code: Buffer;
}

export interface ProgramInfo {
  /** No other program has it while the machine runs. */
  readonly id: number;
  readonly type: number;
  readonly name: string;
  /** The maps that it refers to, by their ids. */
  readonly mapIds: readonly number[];
}

const license = Buffer.from("MIT\0");
const instructionBytes = 8;
/** Enough for a program of deadpeer's size many times over; a log that is longer is cut off at its beginning or end. */
const logBytes = 1 << 20;

/**
 * Has the kernel check and keep a program. It lives as long as a descriptor or an attachment refers to it.
 *
 * @throws VerifierError `bpf-refused` with the verifier's log; DeadpeerError as `bpf`.
 */
export function loadProgram(source: ProgramSource): OwnedFd {
  const result = tryBpf(BPF_PROG_LOAD, loadAttributes(source));
  if (result >= 0) return new OwnedFd(result);
  const log = verifierLog(source);
  if (log !== "") throw new VerifierError(source.name, log, errnoName(-result));
  throw bpfError(-result, "BPF_PROG_LOAD");
}

function loadAttributes({ name, type, expectedAttachType = 0, code }: ProgramSource): BpfAttributes {
  return new BpfAttributes()
    .word(0, type)
    .word(4, code.length / instructionBytes)
    .pointer(8, code)
    .pointer(16, license)
    .name(48, name)
    .word(68, expectedAttachType);
}

/** Only a program that was refused is checked again with a log: writing one takes longer than checking. */
function verifierLog(source: ProgramSource): string {
  const log = Buffer.alloc(logBytes);
  const result = tryBpf(
    BPF_PROG_LOAD,
    loadAttributes(source).word(24, 1).word(28, log.length).pointer(32, log),
  );
  if (result >= 0) new OwnedFd(result).close();
  return log.toString("utf8").replace(/\0.*$/s, "");
}

/** Opens a program by its id. */
export function openProgram(id: number): OwnedFd {
  return new OwnedFd(bpf("BPF_PROG_GET_FD_BY_ID", BPF_PROG_GET_FD_BY_ID, new BpfAttributes().word(0, id)));
}

/** struct bpf_prog_info, as far as it is read. */
const programInfo = { type: 0, id: 4, mapCount: 52, mapIds: 56, name: 64, bytes: 80 } as const;
const mapLimit = 64;

export function readProgramInfo(program: OwnedFd): ProgramInfo {
  const info = Buffer.alloc(programInfo.bytes);
  const maps = Buffer.alloc(mapLimit * 4);
  // The kernel reads how many ids fit where, and writes how many there are.
  info.writeUInt32LE(mapLimit, programInfo.mapCount);
  const attributes = new BpfAttributes().word(0, program.fd).word(4, info.length).pointer(8, info);
  info.writeBigUInt64LE(attributes.address(maps), programInfo.mapIds);
  bpf("BPF_OBJ_GET_INFO_BY_FD", BPF_OBJ_GET_INFO_BY_FD, attributes);
  const count = Math.min(info.readUInt32LE(programInfo.mapCount), mapLimit);
  return {
    id: info.readUInt32LE(programInfo.id),
    type: info.readUInt32LE(programInfo.type),
    name: objectName(info, programInfo.name),
    mapIds: Array.from({ length: count }, (_, index) => maps.readUInt32LE(index * 4)),
  };
}
