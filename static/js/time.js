// Times and counts in words. Pure.

const DAY_MS = 86_400_000;
const startOfDay = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());

/** The heading under which a conversation of `date` stands: Today, Yesterday, ... */
export function dayGroup(date, now = new Date()) {
  const days = Math.round((startOfDay(now) - startOfDay(date)) / DAY_MS);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= 7) return "Previous 7 days";
  if (days <= 30) return "Previous 30 days";
  const sameYear = date.getFullYear() === now.getFullYear();
  return date.toLocaleDateString("en", { month: "long", ...(sameYear ? {} : { year: "numeric" }) });
}

/** "1 second", "40 seconds", "2 minutes": rounded up, never zero. */
export function duration(seconds) {
  const whole = Math.max(1, Math.ceil(seconds));
  const [count, unit] = whole < 60 ? [whole, "second"]
    : whole < 5400 ? [Math.ceil(whole / 60), "minute"] : [Math.ceil(whole / 3600), "hour"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** "Waiting in the queue at position 3 (about 20 seconds)" */
export function queueWords(queue) {
  const { position = null, etaMs = null } = queue ?? {};
  const place = position === null ? "" : ` at position ${Math.max(1, position)}`;
  const wait = etaMs > 0 ? ` (about ${duration(etaMs / 1000)})` : "";
  return `Waiting in the queue${place}${wait}`;
}

/** A full date and time in the reader's own language. */
export const fullTime = (iso) =>
  new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A date in the reader's own language: "1 March". */
export const longDate = (iso) =>
  new Date(iso).toLocaleDateString(undefined, { day: "numeric", month: "long" });

/** A date with its year: "1 Mar 2026". */
export const shortDate = (iso) => new Date(iso).toLocaleDateString(undefined, { dateStyle: "medium" });
