// What one may type next: a list below a box, which the keyboard goes through as through a combobox of the
// ARIA practices. Nothing is chosen by itself: Enter, where nothing is chosen, searches.
(() => {
  const boxes = [...document.querySelectorAll('[data-suggest]')], list = document.createElement('ul');
  if (!boxes.length) return;
  // The box that is typed in, what was found for it, what of that is chosen, and what waits.
  let box, found, chosen = -1, step, typing, asked;
  list.id = 'sug';
  list.className = 'sug';
  list.hidden = true;
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', 'Suggestions');
  document.querySelector('main').append(list);

  const choose = n => {
    list.children[chosen]?.setAttribute('aria-selected', 'false');
    const option = list.children[chosen = n];
    option?.setAttribute('aria-selected', 'true');
    option?.scrollIntoView({ block: 'nearest' });
    if (option) box.setAttribute('aria-activedescendant', option.id);
    else box?.removeAttribute('aria-activedescendant');
  };
  const place = () => {
    if (list.hidden) return;
    const at = box.getBoundingClientRect();
    list.style.left = at.left + scrollX + 'px';
    list.style.top = at.bottom + scrollY + 'px';
    list.style.minWidth = at.width + 'px';
    list.style.maxWidth = document.documentElement.clientWidth - at.left - 4 + 'px';
  };
  const stop = () => {
    clearTimeout(typing);
    asked?.abort();
    found = step = undefined;
    choose(-1);
  };
  const close = () => {
    stop();
    list.hidden = true;
    box?.setAttribute('aria-expanded', 'false');
  };
  const show = () => {
    list.replaceChildren(...found.suggestions.map((suggestion, n) => {
      const option = document.createElement('li'), kind = document.createElement('small');
      option.id = 'sug-' + n;
      option.setAttribute('role', 'option');
      option.setAttribute('aria-selected', 'false');
      kind.textContent = suggestion.kind + (suggestion.count ? ' × ' + suggestion.count.toLocaleString('en') : '');
      // As text, whatever spans say.
      option.append(suggestion.label || suggestion.text, ' ', kind);
      return option;
    }));
    list.hidden = false;
    list.scrollTop = 0;
    box.setAttribute('aria-expanded', 'true');
    place();
    if (step) choose(step > 0 ? 0 : list.children.length - 1);
  };
  const ask = async () => {
    const { signal } = asked = new AbortController(), query = new URLSearchParams({ [box.name]: box.value });
    if (box.name === 'q') query.set('at', box.selectionStart);
    if (box.name === 'op') query.set('service', box.form.elements.service.value);
    try {
      const reply = await fetch(box.dataset.suggest + '?' + query, { signal });
      found = await reply.json();
      if (found.suggestions?.length) show(); else close();
    } catch { if (!signal.aborted) close(); }
  };
  const wait = (milliseconds, then) => {
    stop();
    step = then;
    typing = setTimeout(ask, milliseconds);
  };
  const put = n => {
    const { from, to, suggestions } = found, isQuery = box.name === 'q', isEnd = isQuery && to === box.value.length;
    box.setRangeText(suggestions[n].text + (isEnd ? ' ' : ''), from, to, 'end');
    if (isEnd) box.scrollLeft = box.scrollWidth;
    if (isQuery) wait(0); else close();
  };
  const onKey = event => {
    const { key } = event;
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[key], last = list.children.length - 1;
    if (by) {
      event.preventDefault();
      if (!found) return wait(0, by);
      const n = chosen + by;
      choose(n > last ? 0 : n < 0 ? last : n);
    } else if (/^(Enter|Tab)$/.test(key) && found && chosen >= 0) {
      event.preventDefault();
      put(chosen);
    } else if (key === 'Escape' && !list.hidden) {
      event.preventDefault();
      close();
    } else if (/^(Enter|Tab|Home|End|Arrow.*)$/.test(key)) close();
  };
  for (const of of boxes) {
    of.removeAttribute('list');
    of.setAttribute('role', 'combobox');
    of.setAttribute('aria-autocomplete', 'list');
    of.setAttribute('aria-expanded', 'false');
    of.setAttribute('aria-controls', list.id);
    of.addEventListener('focus', () => { box = of; });
    of.addEventListener('input', () => { box = of; wait(80); });
    of.addEventListener('keydown', onKey);
    of.addEventListener('pointerdown', () => { if (box === of) close(); });
    of.addEventListener('blur', close);
  }
  // The box keeps the focus.
  list.addEventListener('mousedown', event => event.preventDefault());
  list.addEventListener('click', event => {
    const option = event.target.closest('li');
    if (option && found) put([...list.children].indexOf(option));
  });
  addEventListener('resize', place);
})();
