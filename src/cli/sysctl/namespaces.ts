import { DeadpeerError } from "../../errors.js";
import {
  allNamespaces,
  currentNamespace,
  namespaceAt,
  type NetworkNamespace,
} from "../../kernel/namespaces.js";
import { hidingText } from "../ls-gaps.js";
import { note } from "../note.js";

export interface NamespaceOptions {
  readonly netns?: readonly string[];
  readonly allNetns?: boolean;
}

/** The namespaces that were asked for; null when none was named. Two paths to one namespace count once. */
export function readNamespaces({ netns, allNetns }: NamespaceOptions): NetworkNamespace[] | null {
  if (allNetns === true) {
    if (netns !== undefined)
      throw new DeadpeerError("bad-option", "--all-netns includes every --netns; give the one or the other");
    const { namespaces, unreadable } = allNamespaces();
    if (unreadable > 0) note(hidingText(unreadable, "values"));
    return namespaces;
  }
  if (netns === undefined) return null;
  const unique = new Map(netns.map(namespaceAt).map((namespace) => [namespace.id, namespace]));
  return [...unique.values()];
}

/** The namespaces that were asked for, or else the one we are in. */
export function chosenNamespaces(options: NamespaceOptions): NetworkNamespace[] {
  return readNamespaces(options) ?? [currentNamespace()];
}

/** A namespace as people know it. */
export function labelOf({ name, path }: NetworkNamespace): string {
  return name ?? path;
}
