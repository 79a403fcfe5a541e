/**
 * How a policy tells those of the cgroups around it that it has decided: the kernel runs the programs of the innermost cgroup
 * first, one after the other on the same context, and each of ours that finds this word where ours leave it stands back. "dead",
 * and positive, so that comparing needs no second register. A repair puts it behind what it sets (host/repair/applier.ts), so that
 * they all stand back.
 */
export const marker = 0x6461_6564;
