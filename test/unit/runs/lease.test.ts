import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { claimLease, leaseFile, leaseState, readLease, releaseLease, renewLease } from '../../../src/runs/lease.ts';
import type { Lease } from '../../../src/runs/lease.ts';
import { identify, ownIdentity, processState, signalGroup } from '../../../src/runs/process-identity.ts';
import { temporaryFolder } from '../../support/runs.ts';

function newFile(): string {
  return leaseFile(temporaryFolder());
}

function hold(file: string, options: Partial<Parameters<typeof claimLease>[1]> = {}): Lease {
  const claim = claimLease(file, { role: 'trainer', ...options });
  if (claim.kind === 'taken') throw new Error('taken');
  return claim.lease;
}

/** A process of this machine that has ended. */
function deadProcess() {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  return { ...ownIdentity(), processId: pid, startTime: '1' };
}

describe('identity', () => {
  it('tells this process from another of the same number', () => {
    const own = ownIdentity();
    expect(processState(own)).toBe('alive');
    expect(processState({ ...own, startTime: '17' })).toBe('dead');
    const named = own.bootId !== undefined;
    expect(processState({ ...own, bootId: 'an earlier boot' })).toBe(named ? 'dead' : 'other-host');
    expect(processState({ ...own, host: 'elsewhere', bootId: 'another' })).toBe('other-host');
    expect(processState({ ...own, namespace: 'pid:[1]' })).toBe(own.namespace === undefined ? 'alive' : 'other-host');
    expect(processState(deadProcess())).toBe('dead');
  });

  it('does not take Windows and the Linux on it for one machine, although they share its name', () => {
    const { bootId, ...own } = ownIdentity();
    const other = bootId === undefined ? { ...own, bootId: 'of Linux' } : own;
    expect(processState({ ...other, processId: deadProcess().processId })).toBe('other-host');
  });

  it.skipIf(process.platform !== 'linux')('knows a process that has ended and was not collected for dead', async () => {
    // A parent too busy to collect its child.
    const script = `const { pid } = require('child_process').spawn('true', { stdio: 'ignore' });
      require('fs').writeSync(1, String(pid)); for (;;);`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      const [output] = (await once(parent.stdout, 'data')) as [Buffer];
      const child = { ...ownIdentity(), processId: Number(output.toString()) };
      while (!/\) Z /.test(readFileSync(`/proc/${child.processId}/stat`, 'utf8'))) await new Promise(setImmediate);
      expect(processState(identify(child.processId))).toBe('dead');
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('signals a whole group, also one whose leader is gone, and nothing else', async () => {
    const script = `const { spawn } = require('child_process');
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
      console.log(child.pid); setTimeout(() => process.exit(0), 100);`;
    const leader = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
    const identity = identify(leader.pid ?? 0);
    const [output] = (await once(leader.stdout, 'data')) as [Buffer];
    const grandchild = identify(Number(output.toString()));
    await once(leader, 'exit');
    expect(processState(identity)).toBe('dead');
    expect(processState(grandchild)).toBe('alive');
    expect(signalGroup({ ...identity, processId: process.pid, startTime: '17' }, 'kill')).toBe(false);
    expect(signalGroup({ ...identity, host: 'elsewhere', bootId: 'another' }, 'kill')).toBe(false);
    expect(signalGroup(identity, 'kill')).toBe(true);
    while (processState(grandchild) !== 'dead') await new Promise(setImmediate);
  });
});

describe('a lease', () => {
  it('is held by one', () => {
    const file = newFile();
    const lease = hold(file, { segment: 2 });
    expect(readLease(file)).toEqual(lease);
    expect(lease).toMatchObject({ role: 'trainer', segment: 2, holder: { processId: process.pid } });
    expect(leaseState(lease)).toBe('alive');
    expect(claimLease(file, { role: 'trainer' })).toMatchObject({ kind: 'taken', by: lease, state: 'alive' });
  });

  it('shows that its holder lives, and can be given back', () => {
    const file = newFile();
    const lease = hold(file);
    expect(renewLease(file, lease, 99)).toBe(true);
    expect(readLease(file)).toEqual({ ...lease, heartbeat: 99 });
    releaseLease(file, lease);
    expect(existsSync(file)).toBe(false);
    expect(renewLease(file, lease)).toBe(false);
    const other = hold(file);
    releaseLease(file, lease);
    expect(readLease(file)).toEqual(other);
  });

  it('of a dead holder goes to the first who comes', () => {
    const file = newFile();
    const dead = hold(file, { holder: deadProcess() });
    expect(leaseState(dead)).toBe('dead');
    const heir = claimLease(file, { role: 'supervisor' });
    expect(heir).toMatchObject({ kind: 'held', before: dead });
    expect(claimLease(file, { role: 'supervisor' }).kind).toBe('taken');
    expect(readdirSync(join(file, '..'))).toEqual(['lease.json']);
  });

  it('is handed over by its nonce, once', () => {
    const file = newFile();
    const supervisor = hold(file, { role: 'supervisor' });
    const trainer = hold(file, { from: supervisor.nonce });
    expect(readLease(file)).toEqual(trainer);
    expect(claimLease(file, { role: 'trainer', from: supervisor.nonce }).kind).toBe('taken');
    expect(renewLease(file, supervisor)).toBe(false);
  });

  it('cannot be handed over any more once another has taken it', () => {
    const file = newFile();
    const supervisor = hold(file, { role: 'supervisor', holder: deadProcess() });
    hold(file);
    expect(claimLease(file, { role: 'trainer', from: supervisor.nonce }).kind).toBe('taken');
    const empty = newFile();
    expect(claimLease(empty, { role: 'trainer', from: supervisor.nonce }).kind).toBe('taken');
  });

  it('of another host is left alone unless a person insists', () => {
    const file = newFile();
    const far = hold(file, { holder: { ...ownIdentity(), host: 'elsewhere' } });
    expect(claimLease(file, { role: 'trainer' })).toMatchObject({ kind: 'taken', by: far, state: 'other-host' });
    const forced = hold(file, { force: true });
    expect(readLease(file)).toEqual(forced);
    expect(renewLease(file, far)).toBe(false);
  });

  it("whose heir died before it moved in is the heir's, and goes on from there", () => {
    const file = newFile();
    const dead = hold(file, { holder: deadProcess() });
    const heir: Lease = { ...dead, nonce: '0123456789abcdef', holder: deadProcess() };
    writeFileSync(`${file}.${dead.nonce}.next`, JSON.stringify(heir));
    expect(readLease(file)).toEqual(heir);
    const next = claimLease(file, { role: 'trainer' });
    expect(next).toMatchObject({ kind: 'held', before: heir });
    expect(readLease(file)?.nonce).toBe(next.kind === 'held' ? next.lease.nonce : '');
  });

  it("that is being written is waited for; one that stays unreadable is nobody's", () => {
    const file = newFile();
    writeFileSync(file, '{"nonce":');
    expect(claimLease(file, { role: 'trainer' }).kind).toBe('taken');
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(file, longAgo, longAgo);
    expect(claimLease(file, { role: 'trainer' }).kind).toBe('held');
  });
});
