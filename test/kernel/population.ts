import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { run } from "./support.js";

/**
 * A network namespace with one interface of its own, packets that get lost on the way, and a process that holds TCP sockets in
 * every state, over IPv4, IPv6 and IPv4 through IPv6 sockets.
 */
export class Population {
  readonly namespace: string;
  readonly #process: ChildProcess;

  private constructor(namespace: string, process: ChildProcess) {
    this.namespace = namespace;
    this.#process = process;
  }

  static async start(namespace: string): Promise<Population> {
    run("ip", ["netns", "add", namespace]);
    let child: ChildProcess | undefined;
    try {
      run("ip", ["-n", namespace, "link", "set", "lo", "up"]);
      run("ip", ["-n", namespace, "link", "add", "dp0", "type", "veth", "peer", "name", "dp1"]);
      run("ip", ["-n", namespace, "link", "set", "dp0", "up"]);
      run("ip", ["-n", namespace, "link", "set", "dp1", "up"]);
      run("ip", ["-n", namespace, "-6", "addr", "add", "fe80::d:1/64", "dev", "dp0", "nodad"]);
      run("ip", ["-n", namespace, "-6", "addr", "add", "2001:db8::1/128", "dev", "lo", "nodad"]);
      run("ip", ["netns", "exec", namespace, "nft", "-f", "-"], lossyFirewall);
      child = spawn("ip", ["netns", "exec", namespace, "python3", "-c", program], {
        stdio: ["pipe", "pipe", "inherit"],
      });
      const said = await firstLine(child);
      if (said !== "ready") throw new Error(`the population ended: ${said}`);
      return new Population(namespace, child);
    } catch (error) {
      child?.kill("SIGKILL");
      run("ip", ["netns", "del", namespace]);
      throw error;
    }
  }

  get pid(): number {
    // `ip netns exec` becomes the program (execvp).
    return this.#process.pid ?? 0;
  }

  async end(): Promise<void> {
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
    run("ip", ["netns", "del", this.namespace]);
  }
}

/** What a program says first, up to the line's end or its own. */
async function firstLine(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const part of child.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    text += String(part);
    if (text.includes("\n")) break;
  }
  return text.split("\n", 1)[0] ?? "";
}

const lossyFirewall = `
table inet lossy {
  set deaf { type inet_service; }
  set mute { type inet_service; }
  set shy { type inet_service; }
  chain input {
    type filter hook input priority 0;
    tcp dport @deaf drop
    tcp sport @mute drop
    tcp sport @shy tcp flags & (syn | ack) == (syn | ack) drop
  }
}`;

/**
 * Ports: `deaf` receives nothing, what `mute` sends is lost, `shy` loses its SYN-ACKs. Whoever is to get stuck is cut off by
 * adding its port to a set once the connection stands.
 */
const program = String.raw`
import os, socket, subprocess, sys, time
S = socket
keep = []

def lose(kind, port):
    subprocess.run(["nft", "add", "element", "inet", "lossy", kind, "{ %d }" % port], check=True)

def listen(address, family=S.AF_INET, only6=False, scope=None, backlog=16, device=None, room=None):
    l = S.socket(family)
    l.setsockopt(S.SOL_SOCKET, S.SO_REUSEADDR, 1)
    if family == S.AF_INET6: l.setsockopt(S.IPPROTO_IPV6, S.IPV6_V6ONLY, int(only6))
    if room: l.setsockopt(S.SOL_SOCKET, S.SO_RCVBUF, room)
    if device: l.setsockopt(S.SOL_SOCKET, S.SO_BINDTODEVICE, device)
    l.bind((address, 0) if scope is None else (address, 0, 0, scope))
    l.listen(backlog)
    keep.append(l)
    return l, l.getsockname()[1]

def connection(address="127.0.0.1", family=S.AF_INET, listener=None, source=None):
    l, port = listener or listen(address, family)
    c = S.socket(family)
    if source: c.bind((source, 0))
    c.connect((address, port))
    a, _ = l.accept()
    keep.extend((c, a))
    return c, a, port

def wait(sock, state):
    deadline = time.monotonic() + 10
    while sock.getsockopt(S.IPPROTO_TCP, S.TCP_INFO, 1)[0] != state:
        assert time.monotonic() < deadline, (sock, state)
        time.sleep(0.005)

FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING = 4, 5, 8, 11

# LISTEN: of each kind, one with connections waiting, one on a device, one on a link-local address
listen("0.0.0.0"); listen("::", S.AF_INET6); listen("::", S.AF_INET6, True); listen("::ffff:127.0.0.1", S.AF_INET6)
listen("fe80::d:1", S.AF_INET6, scope=S.if_nametoindex("dp0")); listen("0.0.0.0", device=b"lo")
l, port = listen("127.0.0.1", backlog=5)
for _ in range(3):
    c = S.socket(); c.connect(("127.0.0.1", port)); keep.append(c)

# ESTABLISHED: plain, with keepalive, unread and unsent data, over the three families, of another user
connection(); connection("::1", S.AF_INET6); connection("2001:db8::1", S.AF_INET6)
connection(source="127.1.2.3")
c, a, _ = connection()
c.setsockopt(S.SOL_SOCKET, S.SO_KEEPALIVE, 1)
c.setsockopt(S.IPPROTO_TCP, S.TCP_KEEPIDLE, 600)
a.send(b"unread")
dual = listen("::", S.AF_INET6)
c = S.socket(); c.connect(("127.0.0.1", dual[1])); a, _ = dual[0].accept(); keep.extend((c, a))
c = S.socket(S.AF_INET6); c.connect(("::ffff:127.0.0.1", dual[1])); a, _ = dual[0].accept(); keep.extend((c, a))
os.seteuid(65534); connection(); os.seteuid(0)

# a window kept at zero: the zero-window timer once the send buffer is full
c, a, _ = connection(listener=listen("127.0.0.1", room=4096))
c.setblocking(False)
try:
    while True: c.send(bytes(65536))
except BlockingIOError: pass

# data in flight that nobody hears: the retransmission timer
c, a, port = connection()
lose("deaf", port)
c.send(b"lost")

# SYN_SENT, and SYN_RECV with the SYN_SENT that belongs to it, IPv4, IPv6 and mapped
def attempt(address, port, family=S.AF_INET):
    c = S.socket(family); c.setblocking(False); c.connect_ex((address, port)); keep.append(c)
_, port = listen("127.0.0.1"); lose("deaf", port); attempt("127.0.0.1", port)
_, port = listen("127.0.0.1"); lose("shy", port); attempt("127.0.0.1", port)
_, port = listen("::", S.AF_INET6); lose("shy", port); attempt("::1", port, S.AF_INET6); attempt("127.0.0.1", port)

# FIN_WAIT2 and CLOSE_WAIT, held and orphaned
c, a, _ = connection(); c.shutdown(S.SHUT_WR); wait(c, FIN_WAIT2); wait(a, CLOSE_WAIT)
c, a, _ = connection("::1", S.AF_INET6); keep.remove(c); c.close(); wait(a, CLOSE_WAIT)

# FIN_WAIT1, held and orphaned
c, a, port = connection(); lose("deaf", port); c.shutdown(S.SHUT_WR); wait(c, FIN_WAIT1)
c, a, port = connection(); lose("deaf", port); keep.remove(c); c.close()

# LAST_ACK, orphaned: the other side's FIN came, the own one is lost
c, a, port = connection(); c.shutdown(S.SHUT_WR); wait(a, CLOSE_WAIT); lose("mute", port); keep.remove(a); a.close()

# CLOSING: both sent a FIN; the first one's was lost, so the other's crosses it
c, a, port = connection(); lose("deaf", port); c.shutdown(S.SHUT_WR); a.shutdown(S.SHUT_WR); wait(c, CLOSING)

# TIME_WAIT, over the three families
for address, family, target in (("127.0.0.1", S.AF_INET, None), ("::1", S.AF_INET6, None)):
    c, a, _ = connection(address, family)
    c.shutdown(S.SHUT_WR); wait(a, CLOSE_WAIT); keep.remove(a); a.close(); keep.remove(c); c.close()
c = S.socket(); c.connect(("127.0.0.1", dual[1])); a, _ = dual[0].accept()
a.close(); wait(c, CLOSE_WAIT); c.close()

print("ready", flush=True)
sys.stdin.read()
`;
