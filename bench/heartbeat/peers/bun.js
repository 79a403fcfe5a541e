// Bun's own WebSocket server; it answers pings by itself.
const server = Bun.serve({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  fetch: (request, self) => (self.upgrade(request) ? undefined : new Response("", { status: 400 })),
  websocket: { message() {}, idleTimeout: 120, sendPings: false },
});
process.on("SIGUSR2", () => {
  Bun.gc(true);
  console.log("collected");
});
console.log(server.port > 0 ? "ready" : "failed");
