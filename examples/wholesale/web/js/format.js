// How values look.

const LOCALE = "en-GB";
const euro = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "EUR" });
const wholeEuro = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "EUR", maximumFractionDigits: 0 });
const shortEuro = new Intl.NumberFormat(LOCALE, { style: "currency", currency: "EUR", notation: "compact", maximumFractionDigits: 2 });
const number = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 3 });
const percentage = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const minute = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const monthLong = new Intl.DateTimeFormat(LOCALE, { month: "long", year: "numeric", timeZone: "UTC" });
const monthShort = new Intl.DateTimeFormat(LOCALE, { month: "short", timeZone: "UTC" });
const countries = new Intl.DisplayNames(["en"], { type: "region" });

export const money = (value) => euro.format(value);
export const moneyRounded = (value) => wholeEuro.format(value);
export const moneyShort = (value) => shortEuro.format(value);
export const plainNumber = (value) => number.format(value);
export const percent = (value) => percentage.format(value);
export const date = (value) => (value ? day.format(new Date(value)) : null);
export const dateTime = (value) => (value ? minute.format(new Date(value)) : null);
export const time = (value) => (value ? value.slice(0, 5) : null);
export const monthName = (instant) => monthLong.format(instant);
export const monthLetterName = (instant) => monthShort.format(instant);
export const plural = (count, one, many) => `${number.format(count)} ${count === 1 ? one : many}`;

export function country(code) {
  try {
    return countries.of(code);
  } catch {
    return code; // not a code that the browser knows
  }
}
