// What this browser keeps: each ticket with the request that it was bought for, until it is deleted. Nothing of it is sent
// anywhere but to the gate that sold it.

const root = new URL(document.body.dataset.root, location.href);
const key = `farebox-tickets:${root.pathname}`;

/** Most delivered tickets that are kept; one that is still worth something is never dropped. */
const DELIVERED_MAX = 100;

/** The address of something below the gate's own root. */
export function address(path) {
  return new URL(path, root).href;
}

/** All tickets, the newest first. */
export function all() {
  try {
    const kept = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(kept) ? kept : [];
  } catch {
    return [];
  }
}

/** One ticket, by its payment hash. */
export function find(hash) {
  return all().find((ticket) => ticket.paymentHash === hash);
}

/** Keeps a ticket as it is now. False if the browser keeps nothing. */
export function keep(ticket) {
  const others = all().filter((other) => other.paymentHash !== ticket.paymentHash);
  const delivered = others.filter(isDone);
  const dropped = new Set(delivered.slice(DELIVERED_MAX).map((other) => other.paymentHash));
  return write([ticket, ...others.filter((other) => !dropped.has(other.paymentHash))]);
}

/** Changes some of what is kept of a ticket. */
export function update(hash, changes) {
  const kept = all();
  const ticket = kept.find((one) => one.paymentHash === hash);
  if (!ticket) return undefined;
  Object.assign(ticket, changes);
  write(kept);
  return ticket;
}

/** Forgets a ticket. */
export function remove(hash) {
  write(all().filter((ticket) => ticket.paymentHash !== hash));
}

function write(tickets) {
  try {
    localStorage.setItem(key, JSON.stringify(tickets));
    return true;
  } catch {
    return false;
  }
}

/** Whether nothing is left to do for it. */
export function isDone(ticket) {
  return ['delivered', 'expired', 'over'].includes(ticket.state);
}

/** Has `heard` called when another tab changes what is kept. */
export function onChange(heard) {
  addEventListener('storage', (event) => { if (event.key === key) heard(); });
}
