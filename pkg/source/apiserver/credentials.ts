import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { type Clock, isWeirError } from '../../runtime/index.ts';
import {
  type CredentialsOptions,
  type OpenKubeConfig,
  openKubeConfig,
  reasonOf,
  unusable,
} from './open-kube-config.ts';

/** How to speak TLS with the server; empty fields are Node's defaults. */
export interface TlsIdentity {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** Whom to call, and as whom. It stays the same object until reading the credentials again finds something new. */
export interface ApiIdentity {
  /** Without a slash at its end. */
  readonly server: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsIdentity;
  /** The same for two identities that may share connections. */
  readonly connectionKey: string;
}

/** As client-go: a token file is read anew after a minute. */
const maximumAgeMs = 60_000;

/**
 * The credentials for one API server, as fresh as their files. What can't be read any more keeps its last good
 * value: kubelet replaces files one by one, and a server that still lets us in is better than none.
 */
export class Credentials {
  readonly #options: CredentialsOptions;
  readonly #clock: Clock;
  #source: OpenKubeConfig;
  #identity: ApiIdentity;
  #readAt: number;
  #reading: Promise<void> | undefined;
  #problem: string | undefined;

  private constructor(
    options: CredentialsOptions,
    clock: Clock,
    source: OpenKubeConfig,
    identity: ApiIdentity,
  ) {
    this.#options = options;
    this.#clock = clock;
    this.#source = source;
    this.#identity = identity;
    this.#readAt = clock.now();
  }

  /** Throws WEIR_API_CREDENTIALS when they can't be read. */
  static async load(options: CredentialsOptions, clock: Clock): Promise<Credentials> {
    const source = await openKubeConfig(options);
    return new Credentials(options, clock, source, await readIdentity(source));
  }

  /** As last read. */
  get identity(): ApiIdentity {
    return this.#identity;
  }

  /** Why the files could not be read again when that was last tried. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Reads the files again if that was long ago. */
  async current(): Promise<ApiIdentity> {
    if (this.#clock.now() - this.#readAt > maximumAgeMs)
      await this.#read(() => Promise.resolve(this.#source));
    return this.#identity;
  }

  /**
   * Reads everything again, the kubeconfig itself and what a credential plugin says too, because the server does not accept
   * `refused`; unless somebody else has done that meanwhile. Gives `refused` back when nothing has changed.
   */
  async renew(refused: ApiIdentity): Promise<ApiIdentity> {
    if (this.#identity === refused) await this.#read(() => openKubeConfig(this.#options));
    return this.#identity;
  }

  /** The next call reads the files again: there was no answer, and a new CA may be the cause. */
  doubt(): void {
    this.#readAt = -Infinity;
  }

  /** All who ask at the same time share one reading. */
  async #read(open: () => Promise<OpenKubeConfig>): Promise<void> {
    this.#reading ??= this.#readOnce(open).finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #readOnce(open: () => Promise<OpenKubeConfig>): Promise<void> {
    this.#readAt = this.#clock.now();
    try {
      const source = await open();
      const identity = await readIdentity(source);
      if (!isDeepStrictEqual(identity, this.#identity)) this.#identity = identity;
      this.#source = source;
      this.#problem = undefined;
    } catch (error) {
      if (!isWeirError(error)) throw error;
      this.#problem = error.message;
    }
  }
}

async function readIdentity(source: OpenKubeConfig): Promise<ApiIdentity> {
  const { kubeConfig, server, tokenFile, origin } = source;
  const options: RequestOptions = {};
  let token: string | undefined;
  let tls: TlsIdentity;
  try {
    await kubeConfig.applyToHTTPSOptions(options);
    if (tokenFile !== undefined) token = await readToken(tokenFile);
    tls = server.startsWith('https:') ? tlsIdentity(options) : {};
  } catch (error) {
    throw unusable(`${origin}: ${reasonOf(error)}`, error);
  }
  const headers = headersOf(options, token);
  return { server, headers, tls, connectionKey: hashOf(server, tls) };
}

/** Throws when TLS could not be spoken with this: two of the files may not belong together. */
function tlsIdentity(options: RequestOptions): TlsIdentity {
  // The library fills these with buffers and texts only.
  const { ca, cert, key, servername, rejectUnauthorized } = options as {
    readonly [field in keyof RequestOptions]: field extends 'ca' | 'cert' | 'key'
      ? Buffer | string
      : RequestOptions[field];
  };
  const tls = {
    ...(ca === undefined ? {} : { ca: String(ca) }),
    ...(cert === undefined ? {} : { cert: String(cert) }),
    ...(key === undefined ? {} : { key: String(key) }),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
  if (tls.ca !== undefined && !tls.ca.includes('BEGIN CERTIFICATE')) {
    throw new Error('the certificate authority is not in PEM form');
  }
  createSecureContext(tls);
  return tls;
}

function headersOf(options: RequestOptions, token: string | undefined): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {}))
    headers[name.toLowerCase()] = String(value);
  if (typeof options.auth === 'string') {
    headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  return headers;
}

async function readToken(file: string): Promise<string> {
  const token = (await readFile(file, 'utf8')).trim();
  if (token === '') throw new Error(`the token file ${file} is empty`);
  return token;
}

function hashOf(server: string, tls: TlsIdentity): string {
  const parts = [server, tls.ca, tls.cert, tls.key, tls.servername, tls.rejectUnauthorized];
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64');
}
