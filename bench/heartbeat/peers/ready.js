// What every server of ours does: collects garbage when asked, so that memory is what is held, and says that it listens.
export function ready() {
  process.on("SIGUSR2", () => {
    globalThis.gc?.();
    console.log("collected");
  });
  console.log("ready");
}
