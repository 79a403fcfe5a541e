import { audit } from "../../http/chain/audit.js";
import { chainFindings } from "../../http/chain/hop.js";
import { terminalOf } from "../output.js";
import { chainReport } from "./chain-report.js";
import { chainJson } from "./chain-json.js";
import { type ChainCommandOptions, readChain } from "./chain-request.js";
import { failOnFindings, readCheck } from "./check.js";

/**
 * `deadpeer http chain`.
 *
 * @throws DeadpeerError what readChain throws.
 */
export async function run(options: ChainCommandOptions): Promise<void> {
  const isFailure = readCheck(options.check, Object.keys(chainFindings));
  const { hops, marginMs } = readChain(options);
  const audited = audit(hops, marginMs);
  const text =
    options.json === true
      ? JSON.stringify(chainJson(hops, audited), null, 2)
      : chainReport(audited, terminalOf(process.stdout));
  process.stdout.write(`${text}\n`);
  if (isFailure(audited.findings)) failOnFindings();
}
