import { DeadpeerError } from "../../errors.js";
import { residenceOf } from "../residence.js";
import { allCgroups } from "./cgroup.js";

/** Which cgroup is meant: one of the three. */
export interface PolicyTarget {
  /** Within the tree (`/system.slice/nginx.service`) or whole. */
  readonly cgroup?: string;
  /** A unit of systemd's, `nginx` or `nginx.service`. */
  readonly service?: string;
  /** A container's id as its engine prints it, or the beginning of it; for LXC and systemd-nspawn its name. */
  readonly container?: string;
}

/**
 * The path of the cgroup that is meant. Services and containers are found by the names that systemd and the engines give their cgroups,
 * so neither is asked, and neither has to be there.
 *
 * @param paths of all cgroups, outer ones first.
 * @throws DeadpeerError `bad-option` unless exactly one of the three is given, or if several cgroups fit; `no-cgroup` if none does.
 * @example findCgroup({ service: "nginx" }) // "/system.slice/nginx.service"
 */
export function findCgroup(
  { cgroup, service, container }: PolicyTarget,
  paths: () => readonly string[] = allCgroups,
): string {
  const given = [cgroup, service, container].filter((one) => one !== undefined);
  if (given.length !== 1)
    throw new DeadpeerError(
      "bad-option",
      given.length === 0
        ? "say whose connections are meant: --service nginx, --container 4f1c2a, or --cgroup /system.slice/nginx.service"
        : "--cgroup, --service and --container: give one of them",
    );
  if (given[0]?.trim() === "")
    throw new DeadpeerError("bad-option", "--cgroup, --service and --container: a value is missing");
  if (cgroup !== undefined) return cgroup;
  return service === undefined ? ofContainer(container ?? "", paths()) : ofService(service, paths());
}

/** Kinds of units that have cgroups (systemd.unit(5)); a name without one of these endings is a service's. */
const unitEnding = /\.(service|scope|slice|socket|mount|swap)$/;

function ofService(service: string, paths: readonly string[]): string {
  const name = unitEnding.test(service) ? service : `${service}.service`;
  const found = paths.filter((path) => isUnit(path, name));
  // The system's unit goes before those of the same name that users run for themselves.
  const systems = found.filter((path) => !/\/user@\d+\.service\//.test(path));
  const meant = systems.length > 0 ? systems : found;
  return theOnly(
    meant,
    `--service: ${name} has no cgroup: it is not running, or systemd does not manage this machine; systemctl status ${name} tells`,
    `--service: ${name} stands for several cgroups`,
  );
}

/** Of a template, `worker@`, each instance is a unit: `worker@1.service`. */
function isUnit(path: string, name: string): boolean {
  const unit = path.slice(path.lastIndexOf("/") + 1);
  const [template, ending] = name.split("@.");
  return ending === undefined
    ? unit === name
    : unit.startsWith(`${template}@`) && unit.endsWith(`.${ending}`);
}

function ofContainer(container: string, paths: readonly string[]): string {
  // A container's own cgroup comes before those that it has made inside.
  const byId = new Map<string, string>();
  for (const path of paths) {
    const id = residenceOf([path]).container?.id;
    if (id !== undefined && !byId.has(id)) byId.set(id, path);
  }
  const exact = byId.get(container);
  if (exact !== undefined) return exact;
  return theOnly(
    [...byId].filter(([id]) => id.startsWith(container)).map(([, path]) => path),
    `--container: there is no running container whose id begins with ${container}; give the id, not the name, as docker ps or crictl ps prints it`,
    `--container: several containers' ids begin with ${container}`,
  );
}

function theOnly(paths: readonly string[], none: string, several: string): string {
  const [path, ...others] = paths;
  if (path === undefined) throw new DeadpeerError("no-cgroup", none);
  if (others.length > 0)
    throw new DeadpeerError("bad-option", `${several}; give one of them with --cgroup: ${paths.join(", ")}`);
  return path;
}
