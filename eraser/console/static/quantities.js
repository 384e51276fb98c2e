// Sizes, rates, times and shares as `eraser/console/pages/quantities.py` says them.
const LANGUAGE = document.documentElement.lang || "en";
const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
export const NONE = "–";

const formats = new Map();
export function number(value, digits = 0) {
  if (!formats.has(digits)) {
    formats.set(digits, new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: digits, maximumFractionDigits: digits, roundingMode: "halfEven" }));
  }
  return formats.get(digits).format(value);
}

export function size(value) {
  let exponent = 0;
  while (value >= 999.5 && exponent < UNITS.length - 1) {
    value /= 1000;
    exponent += 1;
  }
  const digits = exponent === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${number(value, digits)} ${UNITS[exponent]}`;
}

export const rate = (value) => (value > 0 ? `${size(value)}/s` : NONE);

export function share(done, total) {
  if (!total) return NONE;
  return `${number(Math.floor((done * 1000) / total) / 10, 1)} %`;
}

const SPANS = LANGUAGE.startsWith("zh")
  ? { days: (d, h) => `${d} 天 ${h} 小时`, hours: (h, m) => `${h} 小时 ${m} 分`, minutes: (m, s) => `${m} 分 ${s} 秒`, seconds: (s) => `${s} 秒`, brief: (m) => `${m} 分钟` }
  : { days: (d, h) => `${d} d ${h} h`, hours: (h, m) => `${h} h ${m} min`, minutes: (m, s) => `${m} min ${s} s`, seconds: (s) => `${s} s`, brief: (m) => `${m} min` };

export function span(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.max(0, Math.floor(seconds + 0.5));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor(whole / 3600) % 24;
  const minutes = Math.floor(whole / 60) % 60;
  if (days) return SPANS.days(days, hours);
  if (hours) return SPANS.hours(hours, minutes);
  if (minutes) return SPANS.minutes(minutes, whole % 60);
  return SPANS.seconds(whole);
}

/** As `span`, without the seconds where there are minutes. */
export function brief(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  const whole = Math.floor(seconds + 0.5);
  return whole >= 60 && whole < 3600 ? SPANS.brief(Math.floor(whole / 60)) : span(seconds);
}

export const celsius = (value) => (value === null || value === undefined ? NONE : `${number(value)} °C`);

/** `2026-11-24 13:05:09` in the reader's zone; empty for what is no time. */
export function localMoment(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const two = (part) => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
