import { DeadpeerError } from "../errors.js";
import { type ConnectionFilter, isSelective } from "./filter.js";

/**
 * Sees to it that what changes or ends connections does so to all of them only where that was said in so many words.
 *
 * @param all whether it was.
 * @throws DeadpeerError `bad-option` if neither filter nor `all` says which are meant, or both do.
 */
export function requireChoice(filter: ConnectionFilter, all: boolean): void {
  if (isSelective(filter) === all)
    throw new DeadpeerError(
      "bad-option",
      all
        ? "--all means every connection; leave it out, or leave out the filters"
        : "say which connections are meant, as in --process postgres or --remote 10.0.0.0/8; every one of them: --all",
    );
}
