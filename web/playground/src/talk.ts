// Where in its input and its output an agent that converses has what is said.

import { facts } from './facts.js';
import { isObject, resolved, typeOf } from './form.js';

export interface Message {
  role: 'user' | 'assistant';
  content: string;
}

/** Into which property what a person says goes, and whether all that was said before goes with it. */
export interface Talk {
  property: string;
  isHistory: boolean;
}

/** Return `undefined` for an agent that does not converse. */
export function talkOf(schema: Record<string, unknown> | undefined): Talk | undefined {
  const properties = schema?.['properties'];
  if (schema === undefined || !isObject(properties)) {
    return undefined;
  }
  const chosen = facts.chat?.input ?? ('messages' in properties ? 'messages' : undefined);
  if (chosen === undefined || !(chosen in properties)) {
    return undefined;
  }
  const isHistory = typeOf(resolved(properties[chosen], schema)) === 'array';
  return isHistory || facts.chat !== null ? { property: chosen, isHistory } : undefined;
}

/** Return where the reply stands in an output, for agents that give no tokens. */
export function replyOf(output: unknown): string | undefined {
  if (typeof output === 'string') {
    return output;
  }
  if (!isObject(output)) {
    return undefined;
  }
  const chosen = facts.chat?.output;
  const messages = output['messages'];
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  const values = Object.values(output);
  const found = chosen ? output[chosen] : isObject(last) ? last['content'] : values.length === 1 ? values[0] : undefined;
  return typeof found === 'string' ? found : undefined;
}
