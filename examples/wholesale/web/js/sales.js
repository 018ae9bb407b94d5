// Sales by month, summed up in the page from a narrow reading of all orders.

import { get, pages } from "./odata.js";

let known = null;

/** After a change of an order the sums are read anew. */
export function forgetSales() {
  known = null;
}

/** The last `months` months up to the newest order: [{ start, end, total, count }], oldest first. */
export async function salesByMonth(months) {
  known ??= readSales().catch((error) => {
    known = null;
    throw error;
  });
  const all = await known;
  return all.slice(-months);
}

async function readSales() {
  const newest = (await get("Orders", { select: "PlacedAt", orderby: "PlacedAt desc", top: 1 })).value[0];
  if (!newest) return [];
  const last = new Date(newest.PlacedAt);
  const start = (back) => Date.UTC(last.getUTCFullYear(), last.getUTCMonth() - back, 1);
  const buckets = Array.from({ length: 36 }, (_, index) => ({ start: start(35 - index), end: start(34 - index), total: 0, count: 0 }));
  const places = new Map(buckets.map((bucket) => [new Date(bucket.start).toISOString().slice(0, 7), bucket]));
  const iso = (instant) => new Date(instant).toISOString().slice(0, 19);
  // Half years side by side: each is a few pages one after the other.
  await Promise.all(Array.from({ length: 6 }, async (_, part) => {
    const from = buckets[part * 6].start;
    const to = buckets[part * 6 + 5].end;
    const filter = `PlacedAt ge ${iso(from)}Z and PlacedAt lt ${iso(to)}Z and Status ne 'Cancelled'`;
    for await (const rows of pages("Orders", { select: "PlacedAt,Total", filter })) {
      for (const { PlacedAt, Total } of rows) {
        const bucket = places.get(PlacedAt.slice(0, 7));
        bucket.total += Total;
        bucket.count += 1;
      }
    }
  }));
  return buckets;
}
