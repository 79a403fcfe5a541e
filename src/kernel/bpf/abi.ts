/**
 * Numbers of bpf(2) and of BPF programs, named as in include/uapi/linux/bpf.h and bpf_common.h. They are the same on x64 and arm64;
 * only the system call's own number is not (../abi.ts).
 */

/** enum bpf_cmd. */
export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_ATTACH = 8;
export const BPF_PROG_DETACH = 9;
export const BPF_PROG_GET_FD_BY_ID = 13;
export const BPF_MAP_GET_FD_BY_ID = 14;
export const BPF_OBJ_GET_INFO_BY_FD = 15;
export const BPF_PROG_QUERY = 16;

/** enum bpf_map_type. */
export const BPF_MAP_TYPE_ARRAY = 2;

/** enum bpf_prog_type. */
export const BPF_PROG_TYPE_SOCK_OPS = 13;
export const BPF_PROG_TYPE_CGROUP_SOCKOPT = 25;

/** enum bpf_attach_type. */
export const BPF_CGROUP_SOCK_OPS = 3;
export const BPF_CGROUP_SETSOCKOPT = 22;

/** Attached beside other programs, those of others and those of cgroups below. */
export const BPF_F_ALLOW_MULTI = 2;

/** enum bpf_func_id. */
export const BPF_FUNC_setsockopt = 49;
export const BPF_FUNC_getsockopt = 57;

/** The operations of a SOCK_OPS program that say that a connection stands. */
export const BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4;
export const BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5;

/** Instruction classes. */
export const BPF_LD = 0x00;
export const BPF_LDX = 0x01;
export const BPF_ST = 0x02;
export const BPF_STX = 0x03;
export const BPF_ALU = 0x04;
export const BPF_JMP = 0x05;
export const BPF_ALU64 = 0x07;

/** Sizes and modes of loads and stores. */
export const BPF_W = 0x00;
export const BPF_DW = 0x18;
export const BPF_IMM = 0x00;
export const BPF_MEM = 0x60;
/** With BPF_ADD: adds to memory atomically. */
export const BPF_ATOMIC = 0xc0;

/** Where an operand comes from. */
export const BPF_K = 0x00;
export const BPF_X = 0x08;

/** Arithmetic. */
export const BPF_ADD = 0x00;
export const BPF_AND = 0x50;
export const BPF_NEG = 0x80;
export const BPF_MOV = 0xb0;
export const BPF_END = 0xd0;
/** To big-endian; on a little-endian machine the bytes change places. */
export const BPF_TO_BE = 0x08;

/** Jumps. */
export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JNE = 0x50;
export const BPF_JSLT = 0xc0;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;

/** The source register of a 64-bit load that stands for an address in a map's value (Linux 5.2). */
export const BPF_PSEUDO_MAP_VALUE = 2;

/** Fields of struct bpf_sock_ops, the context of a SOCK_OPS program. */
export const sockOpsFields = {
  op: 0,
  reply: 4,
  family: 20,
  remote_ip4: 24,
  remote_ip6: 32,
  remote_port: 64,
  local_port: 68,
} as const;

/** Fields of struct bpf_sock (dst_* and state since Linux 5.1). */
export const sockFields = {
  family: 4,
  protocol: 12,
  src_port: 44,
  dst_port: 48,
  dst_ip4: 52,
  dst_ip6: 56,
  state: 72,
} as const;

/** Fields of struct bpf_sockopt, the context of a CGROUP_SOCKOPT program. */
export const sockoptFields = {
  sk: 0,
  optval: 8,
  optval_end: 16,
  level: 24,
  optname: 28,
  optlen: 32,
} as const;
