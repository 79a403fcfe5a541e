import { OwnedFd } from "../fd.js";
import {
  BPF_MAP_CREATE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET_INFO_BY_FD,
} from "./abi.js";
import { bpf, BpfAttributes } from "./call.js";

const keyBytes = 4;
/** struct bpf_map_info, as far as it is read. */
const mapInfo = { id: 4, valueSize: 12, name: 24, bytes: 40 } as const;

export interface MapInfo {
  /** No other map has it while the machine runs. */
  readonly id: number;
  readonly valueSize: number;
  readonly name: string;
}

/**
 * Makes an array of one element, all zero. It lives as long as a descriptor or a program refers to it.
 *
 * @param name at most 15 letters, digits, dots and underscores.
 * @throws DeadpeerError as `bpf`.
 */
export function createValue(name: string, valueSize: number): OwnedFd {
  const attributes = new BpfAttributes()
    .word(0, BPF_MAP_TYPE_ARRAY)
    .word(4, keyBytes)
    .word(8, valueSize)
    .word(12, 1)
    .name(28, name);
  return new OwnedFd(bpf("BPF_MAP_CREATE", BPF_MAP_CREATE, attributes));
}

/** What the one element of an array holds. */
export function readValue(map: OwnedFd, valueSize: number): Buffer {
  // The kernel copies whole multiples of eight bytes (array_map_lookup_elem's callers round value_size up).
  const value = Buffer.alloc(Math.ceil(valueSize / 8) * 8);
  const attributes = new BpfAttributes()
    .word(0, map.fd)
    .pointer(8, Buffer.alloc(keyBytes))
    .pointer(16, value);
  bpf("BPF_MAP_LOOKUP_ELEM", BPF_MAP_LOOKUP_ELEM, attributes);
  return value.subarray(0, valueSize);
}

/** Puts another value into the one element of an array; it has to have the array's size. */
export function writeValue(map: OwnedFd, value: Buffer): void {
  const attributes = new BpfAttributes()
    .word(0, map.fd)
    .pointer(8, Buffer.alloc(keyBytes))
    .pointer(16, value);
  bpf("BPF_MAP_UPDATE_ELEM", BPF_MAP_UPDATE_ELEM, attributes);
}

/** Opens a map by its id. */
export function openMap(id: number): OwnedFd {
  return new OwnedFd(bpf("BPF_MAP_GET_FD_BY_ID", BPF_MAP_GET_FD_BY_ID, new BpfAttributes().word(0, id)));
}

export function readMapInfo(map: OwnedFd): MapInfo {
  const info = Buffer.alloc(mapInfo.bytes);
  const attributes = new BpfAttributes().word(0, map.fd).word(4, info.length).pointer(8, info);
  bpf("BPF_OBJ_GET_INFO_BY_FD", BPF_OBJ_GET_INFO_BY_FD, attributes);
  return {
    id: info.readUInt32LE(mapInfo.id),
    valueSize: info.readUInt32LE(mapInfo.valueSize),
    name: objectName(info, mapInfo.name),
  };
}

/** BPF_OBJ_NAME_LEN bytes, of which the last is zero. */
export function objectName(info: Buffer, offset: number): string {
  return info.toString("latin1", offset, offset + 16).replace(/\0.*$/s, "");
}
