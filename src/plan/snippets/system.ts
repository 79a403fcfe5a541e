import { formatDuration } from "../duration.js";
import { retries2Ms, retries2Within, rfc1122LeastMs } from "../retries2.js";
import { keepaliveAlone, type RoundedSettings } from "./rounding.js";
import { keepalivePurpose, lines, type TargetDefinition } from "./snippet.js";

/**
 * The net.ipv4 settings, which hold for IPv6 too, that come nearest: keepalive's times for sockets that switch it on, and in
 * place of a user timeout the largest tcp_retries2 that gives up in time at the shortest retransmission timeout.
 */
export function sysctlSettings(settings: RoundedSettings): readonly { name: string; value: number }[] {
  const keepalive = keepaliveAlone(settings);
  const found: { name: string; value: number }[] = [];
  if (keepalive !== null)
    found.push(
      { name: "net.ipv4.tcp_keepalive_time", value: keepalive.idleS },
      { name: "net.ipv4.tcp_keepalive_intvl", value: keepalive.intervalS },
      { name: "net.ipv4.tcp_keepalive_probes", value: keepalive.count },
    );
  if (settings.userTimeoutMs > 0)
    found.push({ name: "net.ipv4.tcp_retries2", value: retries2Within(settings.userTimeoutMs) });
  return found;
}

function systemPurpose(settings: RoundedSettings): string {
  if (settings.keepalive !== null) return keepalivePurpose(settings);
  const ms = retries2Ms(retries2Within(settings.userTimeoutMs));
  return `Gives up on data unacknowledged for at least ${formatDuration(ms)}; keepalive stays as each program has it`;
}

function systemNotes(settings: RoundedSettings): string[] {
  const notes =
    settings.keepalive === null
      ? ["no sysctl switches keepalive off: each program decides that for its sockets"]
      : [
          "a sysctl never switches keepalive on: only sockets whose program sets SO_KEEPALIVE, and no times of its own, use these",
        ];
  if (settings.userTimeoutMs > 0) {
    const retries = retries2Within(settings.userTimeoutMs);
    const ms = retries2Ms(retries);
    notes.push(
      `the user timeout has no sysctl; tcp_retries2 = ${retries} comes nearest: at least ${formatDuration(ms)}, more on paths with a long round trip, and for every connection there`,
    );
    if (ms > settings.userTimeoutMs)
      notes.push(`it cannot be ${formatDuration(settings.userTimeoutMs)} or less`);
    if (ms < rfc1122LeastMs) notes.push("RFC 1122 §4.2.3.5 advises at least 100 s before giving up");
  }
  return notes;
}

const nothing =
  "# Nothing to set: each program decides whether keepalive is on, and sysctls only hold times for those that want it.";

export const sysctl: TargetDefinition = {
  id: "sysctl",
  title: "Linux system defaults",
  aliases: ["linux", "sysctl.conf", "sysctl.d"],
  needs: "any Linux",
  write(settings) {
    const set = sysctlSettings(settings);
    if (set.length === 0) return { text: nothing, notes: systemNotes(settings) };
    return {
      text: lines(
        `# ${systemPurpose(settings)}. In /etc/sysctl.d/60-deadpeer.conf, then: sysctl --system`,
        set.map(({ name, value }) => `${name} = ${value}`),
        settings.keepalive === null ? null : "# Only for sockets that switch SO_KEEPALIVE on themselves.",
      ),
      notes: systemNotes(settings),
    };
  },
};

export const docker: TargetDefinition = {
  id: "docker",
  title: "Docker and Compose",
  aliases: ["compose", "docker-compose", "podman"],
  needs: "a network namespace of the container's own (not --network host)",
  write(settings) {
    const set = sysctlSettings(settings);
    if (set.length === 0) return { text: nothing, notes: systemNotes(settings) };
    return {
      text: lines(
        `# ${systemPurpose(settings)}.`,
        `# docker run ${set.map(({ name, value }) => `--sysctl ${name}=${value}`).join(" ")} IMAGE`,
        "services:",
        "  app:",
        "    sysctls:",
        set.map(({ name, value }) => `      ${name}: ${value}`),
      ),
      notes: systemNotes(settings),
    };
  },
};

/** kubelet's safe sysctls: pkg/kubelet/sysctl/safe_sysctls.go; tcp_retries2 is not among them. */
export const kubernetes: TargetDefinition = {
  id: "kubernetes",
  title: "Kubernetes (sysctls of a pod)",
  aliases: ["k8s", "kube", "pod", "openshift"],
  needs: "Kubernetes 1.29, where tcp_keepalive_* became safe; kubelet --allowed-unsafe-sysctls before",
  write(settings) {
    const set = sysctlSettings(settings);
    if (set.length === 0) return { text: nothing, notes: systemNotes(settings) };
    return {
      text: lines(
        `# ${systemPurpose(settings)}. In a Pod:`,
        "spec:",
        "  securityContext:",
        "    sysctls:",
        set.flatMap(({ name, value }) => [`      - name: ${name}`, `        value: "${value}"`]),
      ),
      notes: [
        ...systemNotes(settings),
        ...(settings.userTimeoutMs === 0
          ? []
          : [
              "tcp_retries2 is not a safe sysctl: its node's kubelet needs --allowed-unsafe-sysctls=net.ipv4.tcp_retries2",
            ]),
        "a pod with hostNetwork: true cannot have these",
      ],
    };
  },
};
