// What an answer took, in words. Pure.

const count = new Intl.NumberFormat("en");

/**
 * "1,055 tokens read, 1,034 of them from the cache; 40 written"
 * @param {{inputTokens: number, cachedTokens: number, outputTokens: number}|null} usage
 */
export function usageWords(usage) {
  if (!usage) return "";
  const { inputTokens, cachedTokens, outputTokens } = usage;
  const cached = cachedTokens ? `, ${count.format(cachedTokens)} of them from the cache` : "";
  return `${count.format(inputTokens + cachedTokens)} tokens read${cached}; ${count.format(outputTokens)} written`;
}
