"""The certificate as a page for people: `page` what stands on it, `page.typ` how it looks, `rendering`, `signing`, `checking`.

Loads Typst and pyHanko, so only what makes or checks a PDF imports it, and never `erase`. May import `eraser.certificates`.
"""
