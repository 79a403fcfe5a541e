import { type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";

export interface Answer {
  readonly response: IncomingMessage;
  readonly text: string;
}

/** A request of node:http or node:https, to its end. */
export function get(
  url: string,
  { body, ...options }: RequestOptions & { readonly body?: string | Uint8Array } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const make = url.startsWith("https:") ? httpsRequest : httpRequest;
    const request = make(url, options, (response) => {
      let text = "";
      response
        .setEncoding("utf8")
        .on("data", (part: string) => {
          text += part;
        })
        .on("end", () => resolve({ response, text }))
        .on("error", reject);
    });
    request.on("error", reject).end(body);
  });
}
