import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32, deflateRawSync } from 'node:zlib';

/** A ZIP archive of deflated files, as `.nupkg` files are. */
export function zipOf(files: Readonly<Record<string, Buffer>>): Buffer {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const [name, content] of Object.entries(files)) {
    const data = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, Buffer.from(name), data]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    directory.push(
      Buffer.concat([Buffer.from('PK\x01\x02', 'latin1'), Buffer.from([20, 0]), common, rest, Buffer.from(name)]),
    );
    pieces.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 4);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...pieces, central, Buffer.from('PK\x05\x06', 'latin1'), end]);
}

export interface NugetFeed {
  /** Its service index. */
  readonly index: string;
  readonly close: () => void;
}

export interface NugetOptions {
  /** What it says of the package; the truth without it. */
  readonly hash?: string;
  /** Sends half of the package and no more. */
  readonly stalls?: boolean;
  /** Sends half of the package and hangs up. */
  readonly breaksOff?: boolean;
  /** Done when half of the package was sent. */
  readonly meanwhile?: () => void;
}

/** A server of this machine that answers as a NuGet feed with one package. */
export async function serveNuget(
  name: string,
  version: string,
  content: Buffer,
  { hash, stalls = false, breaksOff = false, meanwhile }: NugetOptions = {},
): Promise<NugetFeed> {
  let base = '';
  const answers = (): Readonly<Record<string, unknown>> => ({
    '/v3/index.json': {
      version: '3.0.0',
      resources: [
        { '@id': `${base}/query`, '@type': 'SearchQueryService' },
        { '@id': `${base}/registration/`, '@type': 'RegistrationsBaseUrl/3.6.0' },
        { '@id': `${base}/flat`, '@type': 'PackageBaseAddress/3.0.0' },
      ],
    },
    [`/registration/${name}/${version}.json`]: {
      catalogEntry: `${base}/catalog/${name}.json`,
      packageContent: `${base}/elsewhere`,
    },
    [`/catalog/${name}.json`]: {
      packageHash: hash ?? createHash('sha512').update(content).digest('base64'),
      packageHashAlgorithm: 'SHA512',
      packageSize: content.length,
    },
  });
  const server = createServer((request, response) => {
    const answer = answers()[request.url ?? ''];
    if (answer !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
    else if (request.url === `/flat/${name}/${version}/${name}.${version}.nupkg`) {
      const half = content.subarray(0, content.length >> 1);
      if (stalls) response.write(half);
      else if (breaksOff) response.setHeader('content-length', content.length).write(half, () => response.destroy());
      else
        response.write(half, () => {
          meanwhile?.();
          response.end(content.subarray(half.length));
        });
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    index: `${base}/v3/index.json`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
