// What the server says about itself, and calls to it with the credentials of the reader.

import { AuthError, Client, DockrionError } from 'dockrion-client';

export interface Facts {
  agent: string;
  version: string;
  invoke: boolean;
  stream: boolean;
  runs: boolean;
  chat: { input: string | null; output: string | null } | null;
  /** In what other ways the agent is served, and where. */
  speaks: { name: string; path: string }[];
  auth: { mode: string; header: string; protects: string[] } | null;
}

export type Schema = Record<string, unknown>;

export interface Described {
  input: Schema | null;
  output: Schema | null;
}

export const facts = JSON.parse(document.body.dataset['facts'] ?? '{}') as Facts;
/** Where the agent is served, without a slash at the end. */
export const base = new URL('.', location.href).href.replace(/\/$/, '');

// Nowhere but here: who reloads the page gives them again.
let secret: string | undefined;

export const credentials = {
  get isSet(): boolean {
    return secret !== undefined;
  },
  set(value: string | undefined): void {
    secret = value;
  },
};

export function isKey(): boolean {
  return facts.auth?.mode === 'api_key';
}

export function client(): Client {
  const { auth } = facts;
  if (auth === null || secret === undefined) {
    return new Client(base);
  }
  return new Client(base, isKey() ? { apiKey: secret, apiKeyHeader: auth.header } : { token: secret });
}

/** Fetch what the agent takes and gives; throw `AuthError` where the reader must say who they are. */
export async function describe(): Promise<Described> {
  if (facts.auth?.protects.includes('schema') && secret === undefined) {
    throw new AuthError('The schema is for known callers.', { code: 'AUTH_ERROR' });
  }
  const headers: Record<string, string> = {};
  if (facts.auth !== null && secret !== undefined) {
    headers[facts.auth.header] = isKey() ? secret : `Bearer ${secret}`;
  }
  const response = await fetch(`${base}/schema`, { headers, cache: 'no-store' });
  if (response.status === 401 || response.status === 403) {
    throw new AuthError('The schema is for known callers.', { code: 'AUTH_ERROR', status: response.status });
  }
  if (!response.ok) {
    throw new DockrionError(`The schema was not told: ${response.status}`);
  }
  const body = (await response.json()) as { input_schema: Schema | null; output_schema: Schema | null };
  return { input: body.input_schema, output: body.output_schema };
}

/** Ask whether the agent is loaded, and if not, why. */
export async function isReady(): Promise<{ isThere: boolean; why: string }> {
  try {
    const response = await fetch(`${base}/ready`, { cache: 'no-store' });
    const body = (await response.json()) as { error?: string };
    return { isThere: response.ok, why: body.error ?? '' };
  } catch {
    return { isThere: false, why: 'The server does not answer.' };
  }
}
