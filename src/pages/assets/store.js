// What this browser keeps: each ticket with the request that it was bought for, until it is deleted. Nothing of it is sent
// anywhere but to the gate that sold it. A ticket has an entry of its own, so that two tabs don't overwrite each other's.

const root = new URL(document.body.dataset.root, location.href);
const prefix = `farebox-ticket:${root.pathname}:`;

/** Most delivered tickets that are kept; one that may be worth something is never dropped. */
const DELIVERED_MAX = 50;

/** The address of something below the gate's own root. */
export function address(path) {
  return new URL(path, root).href;
}

/** All tickets, the newest first. */
export function all() {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
    const tickets = keys.map(read).filter(Boolean);
    return tickets.sort((one, other) => other.createdAt - one.createdAt);
  } catch {
    return [];
  }
}

/** One ticket, by its payment hash. */
export function find(hash) {
  return read(prefix + hash);
}

/** Keeps a ticket as it is now. False if the browser keeps nothing. */
export function keep(ticket) {
  const done = all().filter((other) => isDone(other) && other.paymentHash !== ticket.paymentHash);
  for (const old of done.splice(DELIVERED_MAX)) remove(old.paymentHash);
  for (;;) {
    try {
      localStorage.setItem(prefix + ticket.paymentHash, JSON.stringify(ticket));
      return true;
    } catch {
      // It is full, perhaps of what is done: the oldest of that goes first.
      const oldest = done.pop();
      if (!oldest) return false;
      remove(oldest.paymentHash);
    }
  }
}

/** The ticket with some of it changed, kept so if it is kept at all. */
export function update(ticket, changes) {
  const kept = find(ticket.paymentHash);
  const allowed = { ...changes };
  // Another tab may know better.
  const isDelivered = kept?.state === 'delivered' && kept.kind !== 'pass' && changes.state !== 'delivered';
  if (isDelivered || (changes.state === 'expired' && kept?.preimage)) {
    for (const name of ['state', 'preimage', 'failure']) delete allowed[name];
  }
  const changed = { ...ticket, ...kept, ...allowed };
  return { ...changed, isKept: Boolean(kept) && keep(changed) };
}

/** Forgets a ticket. */
export function remove(hash) {
  try {
    localStorage.removeItem(prefix + hash);
  } catch {
    // Nothing is kept, then.
  }
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Whether nothing is left to do for it, and nothing of worth in it: `expired` and `over` are the gate's own word. */
export function isDone(ticket) {
  if (ticket.kind === 'pass' && ticket.preimage) return ticket.state === 'over';
  return ['delivered', 'expired', 'over'].includes(ticket.state);
}

/** Has `heard` called when another tab changes what is kept. */
export function onChange(heard) {
  addEventListener('storage', (event) => { if (event.key === null || event.key.startsWith(prefix)) heard(); });
}
