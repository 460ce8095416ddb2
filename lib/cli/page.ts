// A page that stands alone: HTML that needs nothing else, and runs nothing.
import { stripVTControlCharacters } from 'node:util'
import { harmless } from './terminal.ts'

/** A text as text: what others wrote in it is neither markup nor a control character. */
export function escaped(text: string) {
  return harmless(stripVTControlCharacters(text)).replaceAll(/[&<>"']/g, sign => `&#${sign.charCodeAt(0)};`)
}

/** The page; `content` is HTML, whose texts are escaped already. */
export function pageOf(language: string, title: string, style: string, content: string) {
  return `<!doctype html>
<html lang="${language}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1f2328; background: #fff }
p { margin: .2rem 0 } .good { color: #00684a } .bad { color: #a83a00 }${style}
</style></head><body><h1>${escaped(title)}</h1>
${content}
</body></html>
`
}
