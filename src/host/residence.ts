/** Where a process lives, as the paths of its cgroups tell. */
export interface Residence {
  /** A unit of the system's systemd, e.g. `nginx.service`; null: in none. */
  readonly service: string | null;
  /** A unit of a user's own systemd, which the system's does not know by that name. */
  readonly userService: string | null;
  /** A login session's scope: everything that was started in that login shares it. */
  readonly session: string | null;
  readonly container: ContainerPlace | null;
}

export interface ContainerPlace {
  readonly engine: "docker" | "podman" | "containerd" | "cri-o" | "lxc" | "systemd-nspawn" | "kubernetes";
  /** As its engine calls it: 64 hexadecimal digits, or a name. */
  readonly id: string;
}

/** The names that engines give the cgroups of their containers, with systemd and without; the innermost that fits counts. */
const containers: readonly (readonly [ContainerPlace["engine"], RegExp])[] = [
  ["docker", /^docker-([0-9a-f]{64})\.scope$/],
  ["podman", /^libpod-([0-9a-f]{64})(?:\.scope)?$/],
  ["containerd", /^cri-containerd-([0-9a-f]{64})\.scope$/],
  ["cri-o", /^crio-([0-9a-f]{64})(?:\.scope)?$/],
  ["lxc", /^lxc\.payload\.(.+)$/],
  ["systemd-nspawn", /^systemd-nspawn@(.+)\.service$/],
  ["systemd-nspawn", /^machine-(.+)\.scope$/],
];

/** Without systemd the number alone is the name, and the cgroup around it tells the engine. */
const bareId = /^[0-9a-f]{64}$/;
const enginesAround: readonly (readonly [ContainerPlace["engine"], RegExp])[] = [
  ["docker", /^docker$/],
  ["podman", /^libpod_parent$/],
  ["containerd", /^(?:default|k8s\.io|moby)$/],
  ["kubernetes", /^kubepods/],
];

/**
 * @param paths in the cgroup trees, as in /proc/PID/cgroup; the first that says something counts.
 * @example residenceOf(["/system.slice/nginx.service"]).service // "nginx.service"
 */
export function residenceOf(paths: readonly string[]): Residence {
  const split = paths.map((path) => path.split("/").filter(Boolean));
  return {
    container: firstOf(split, containerOf),
    service: firstOf(split, (parts) => (isUsers(parts) ? null : lastService(parts))),
    userService: firstOf(split, (parts) => (isUsers(parts) ? lastService(parts) : null)),
    session: firstOf(split, (parts) => parts.findLast((part) => /^session-.+\.scope$/.test(part)) ?? null),
  };
}

function containerOf(parts: readonly string[]): ContainerPlace | null {
  for (let index = parts.length - 1; index >= 0; index--) {
    const part = parts[index] ?? "";
    for (const [engine, pattern] of containers) {
      const id = pattern.exec(part)?.[1];
      if (id !== undefined) return { engine, id };
    }
    if (part === "lxc" && parts[index + 1] !== undefined)
      return { engine: "lxc", id: parts[index + 1] ?? "" };
    if (!bareId.test(part)) continue;
    const around = parts.slice(0, index);
    const engine = enginesAround.find(([, pattern]) => around.some((one) => pattern.test(one)))?.[0];
    if (engine !== undefined) return { engine, id: part };
  }
  return null;
}

/** Below `user@1000.service` a user's own systemd makes the units. */
function isUsers(parts: readonly string[]): boolean {
  return parts.some((part) => /^user@\d+\.service$/.test(part));
}

function lastService(parts: readonly string[]): string | null {
  return parts.findLast((part) => part.endsWith(".service") && !/^user@\d+\.service$/.test(part)) ?? null;
}

function firstOf<T>(
  paths: readonly (readonly string[])[],
  find: (parts: readonly string[]) => T | null,
): T | null {
  for (const parts of paths) {
    const found = find(parts);
    if (found !== null) return found;
  }
  return null;
}
