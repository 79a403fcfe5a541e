import type { ScenarioResult } from "../../lab/index.js";
import type { Chapter } from "./page.js";
import { picturesOf } from "./pictures.js";

/**
 * Puts results together by scenario, in their order, and draws them. Both families look the same, so one is drawn: the first, or
 * the first that failed.
 */
export async function chaptersOf(results: readonly ScenarioResult[]): Promise<Chapter[]> {
  const byName = new Map<string, [ScenarioResult, ...ScenarioResult[]]>();
  for (const result of results) {
    const same = byName.get(result.name);
    if (same === undefined) byName.set(result.name, [result]);
    else same.push(result);
  }
  const chapters: Chapter[] = [];
  for (const same of byName.values()) {
    const drawn = same.find(({ passed }) => !passed) ?? same[0];
    chapters.push({ results: same, pictures: await picturesOf(drawn) });
  }
  return chapters;
}
