import assert from "node:assert/strict";

/** Waits until something holds, looking often; fails when it does not come about. */
export async function until(holds: () => boolean, withinMs = 60_000): Promise<void> {
  const giveUpAt = performance.now() + withinMs;
  while (!holds()) {
    assert.ok(
      performance.now() < giveUpAt,
      `within ${withinMs} ms it did not come about: ${holds.toString()}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
