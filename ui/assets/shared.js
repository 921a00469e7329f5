// What the requests share: the server compares them once the page is there.
addEventListener('load', async () => {
  const place = document.querySelector('[data-shared]');
  if (!place) return;
  const leaving = new AbortController();
  addEventListener('pagehide', () => leaving.abort());
  try {
    const reply = await fetch(place.dataset.shared, { signal: leaving.signal });
    const page = new DOMParser().parseFromString(await reply.text(), 'text/html');
    const made = page.querySelector('#shared'), status = place.querySelector('[role=status]'), said = made.querySelector('[role=status]');
    // The status stays and gets new words, so that they are read out.
    for (const node of [...place.children]) if (node !== status) node.remove();
    for (const node of [...made.children]) if (node !== said) status.before(node);
    status.replaceChildren(...said.childNodes);
  } catch { /* The link to the page is still there. */ }
});
