// Finds headings of all pages; the list of them is in search-index.js. No server is needed.
const up = document.documentElement.dataset.up
const field = document.getElementById('search')
const found = document.getElementById('found')
const shownMax = 12

function entryOf([path, title, heading, anchor]) {
  const item = document.createElement('li')
  const link = document.createElement('a')
  link.href = `${up}/${path}#${anchor}`
  link.textContent = heading
  const page = document.createElement('small')
  page.textContent = title === heading ? '' : title
  link.append(' ', page)
  item.append(link)
  return item
}

function rank(words, [, title, heading]) {
  const near = heading.toLowerCase()
  const text = `${near} ${title.toLowerCase()}`
  if (!words.every((word) => text.includes(word))) return 0
  if (near.startsWith(words[0])) return 3
  return near.includes(words[0]) ? 2 : 1
}

field.addEventListener('input', () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean)
  const hits =
    words.length === 0 ? [] : searchIndex.map((entry) => ({ entry, rank: rank(words, entry) }))
  const best = hits.filter((hit) => hit.rank > 0).sort((a, b) => b.rank - a.rank)
  found.replaceChildren(...best.slice(0, shownMax).map((hit) => entryOf(hit.entry)))
})

field.addEventListener('keydown', (event) => {
  if (event.key === 'Enter') found.querySelector('a')?.click()
})

document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || document.activeElement === field) return
  event.preventDefault()
  field.focus()
})

// On a phone the list of pages would be all that is seen first.
if (matchMedia('(max-width: 50rem)').matches)
  document.querySelector('.side').removeAttribute('open')
