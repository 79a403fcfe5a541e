import { DeadpeerError } from "../../errors.js";
import type { Connection } from "../../host/connection.js";
import { parseFilter } from "../../host/filter.js";
import { survey } from "../../host/survey.js";
import type { NetworkNamespace } from "../../kernel/namespaces.js";
import { note } from "../note.js";

/** The connections of a namespace; null, with the reason on stderr, where they cannot be listed. */
export function connectionsOf(namespace: NetworkNamespace): readonly Connection[] | null {
  try {
    return survey({ filter: parseFilter({ netns: [namespace.path] }) });
  } catch (error) {
    if (!(error instanceof DeadpeerError)) throw error;
    note(`which connections live by these values is not known: ${error.message}`);
    return null;
  }
}
