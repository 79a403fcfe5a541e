import { setUncaughtExceptionCaptureCallback } from "node:process";

/** Catches what is thrown outside of everything else, while `body` runs, and gives it back. */
export async function thrownDuring(body: () => Promise<void>): Promise<string[]> {
  const thrown: string[] = [];
  setUncaughtExceptionCaptureCallback((error) => thrown.push(error.message));
  try {
    await body();
  } finally {
    setUncaughtExceptionCaptureCallback(null);
  }
  return thrown;
}
