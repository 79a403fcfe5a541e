// The worker as it is, in a thread whose wall clock jumps back and forth with every look.
let ahead = 0;
Date.now = () => (ahead = -ahead + (ahead > 0 ? -1 : 1) * 3_600_000);
await import("../../../../src/server/parking/worker.js");
