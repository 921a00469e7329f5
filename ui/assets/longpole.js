// Everything works without this file: it adds the theme button, the keyboard, a filter over the
// rows that are there, and details that open without loading the page anew.
(() => {
  'use strict';
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const root = document.documentElement;

  // ---- theme
  const load = key => { try { return localStorage.getItem(key); } catch { return null; } };
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* The page forgets it. */ } };
  const stored = load('longpole-theme');
  if (stored === 'light' || stored === 'dark') root.dataset.theme = stored;
  const theme = $('[data-theme-button]');
  theme.hidden = false;
  theme.addEventListener('click', () => {
    const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = isDark ? 'light' : 'dark';
    keep('longpole-theme', root.dataset.theme);
  });

  // ---- times: UTC, or the viewer's
  const zone = $('[data-zone-button]');
  const tell = isLocal => {
    for (const time of $$('time')) {
      time.title ||= time.textContent;
      time.textContent = isLocal ? new Date(time.dateTime).toLocaleString() : time.title;
    }
    keep('longpole-zone', zone.textContent = isLocal ? 'Local time' : 'UTC');
  };
  zone.hidden = !$('time');
  zone.onclick = () => tell(zone.textContent === 'UTC');
  tell(load('longpole-zone') === 'Local time');

  // ---- the map: dragging zooms
  const map = $('#map');
  if (map) {
    let from, box, a, b;
    map.ondragstart = () => false;
    map.onpointerdown = event => { box = map.getBoundingClientRect(); from = event.clientX; a = b = 0; };
    map.onpointermove = event => {
      if (!event.buttons) return;
      map.setPointerCapture(event.pointerId);
      const ends = [from, event.clientX].sort((x, y) => x - y);
      [a, b] = ends.map(x => Math.max(0, Math.min(1, (x - box.x) / box.width)));
      $('.pick').setAttribute('d', `M${a * 200} 0H${b * 200}V26H${a * 200}`);
    };
    map.onpointerup = () => {
      if (!(b - a > .003)) return;
      const url = new URL(location), query = url.searchParams, all = map.dataset.micros;
      query.set('t0', Math.floor(a * all));
      query.set('t1', Math.ceil(b * all));
      query.delete('page');
      location = url;
    };
  }

  // ---- the page that waits for the first spans
  const live = $('#live');
  if (live) {
    const look = async () => {
      try {
        const reply = await fetch(location.href);
        const page = new DOMParser().parseFromString(await reply.text(), 'text/html');
        const now = $('#live', page);
        if (!now) return location.reload();
        if (now.textContent !== live.textContent) live.replaceChildren(...now.childNodes);
      } catch { /* The server is away: ask again. */ }
      setTimeout(look, 2000);
    };
    setTimeout(look, 2000);
  }

  const grid = $('#tg');
  if (!grid) return;

  // ---- rows
  const lay = $('#lay'), status = $('#st'), said = status.textContent, line = $('.cp'), filter = $('#q'), help = $('#help');
  const rows = $$('.r', grid);
  rows.forEach((row, at) => { row.id ||= `row-${at}`; });
  for (const control of [filter, help]) control.hidden = false;
  // One tab stop: the arrows move inside.
  grid.tabIndex = 0;
  for (const link of $$('a', grid)) link.tabIndex = -1;
  let current = $('.r.sel', grid) || (location.hash && rows.find(row => '#' + row.id === location.hash)) || rows[0];
  grid.setAttribute('aria-activedescendant', current.id);

  const shown = () => rows.filter(row => !row.hidden);
  const go = row => {
    if (!row) return;
    current.classList.remove('sel');
    current = row;
    row.classList.add('sel');
    row.scrollIntoView({ block: 'nearest' });
    grid.setAttribute('aria-activedescendant', row.id);
  };
  const step = by => {
    const all = shown(), at = all.indexOf(current);
    go(all[Math.max(0, Math.min(all.length - 1, at + by))]);
  };
  const next = test => {
    const all = shown(), at = all.indexOf(current);
    for (let by = 1; by <= all.length; by++) {
      const row = all[(at + by + all.length) % all.length];
      if (test(row)) return go(row);
    }
  };

  // ---- which rows are shown
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      n += !row.hidden;
    }
    // The line is drawn for all rows.
    line.style.visibility = n === rows.length ? '' : 'hidden';
    status.textContent = n === rows.length ? said : `${n} of these ${rows.length} rows match`;
  };
  filter.addEventListener('input', show);
  // Other rows keep the details that are open now, which the links do not know of.
  const other = link => {
    const url = new URL(link.href), selected = new URLSearchParams(location.search).get('span');
    if (selected) url.searchParams.set('span', selected); else url.searchParams.delete('span');
    location.href = url;
  };

  // ---- a span's details
  const drop = () => { $('#dr')?.remove(); lay.classList.remove('open'); };
  const open = async (href, remember = true) => {
    const url = new URL(href, location.href), span = url.searchParams.get('span');
    if (!span) return false;
    const reply = await fetch(lay.dataset.spanUrl + encodeURIComponent(span) + url.search);
    if (!reply.ok) return false;
    drop();
    lay.insertAdjacentHTML('beforeend', await reply.text());
    lay.classList.add('open');
    if (remember) history.pushState(null, '', url);
    return true;
  };
  const close = () => {
    const link = $('#dr [data-close]');
    if (!$('#dr')) return;
    if (link) history.pushState(null, '', link.href);
    drop();
    grid.focus({ preventScroll: true });
  };
  const follow = async link => {
    try {
      if (await open(link.href)) return $('#dr').focus({ preventScroll: innerWidth > 900 });
    } catch { /* Load the page instead. */ }
    location.href = link.href;
  };
  addEventListener('popstate', async () => {
    const span = new URLSearchParams(location.search).get('span');
    if (!span) return drop();
    try { if (await open(location.href, false)) return; } catch { /* Load the page instead. */ }
    location.reload();
  });

  document.addEventListener('click', event => {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest('a'), copy = event.target.closest('.copy');
    if (copy) { getSelection().selectAllChildren(copy.previousElementSibling); copy.textContent = document.execCommand('copy') ? 'copied' : 'press Ctrl+C'; return; }
    if (link && 'close' in link.dataset) { event.preventDefault(); return close(); }
    if (link?.matches('.bar a')) { event.preventDefault(); return other(link); }
    const row = event.target.closest('.r');
    if (!row) return;
    const span = $('a.o', row);
    if (link?.matches('.x') || row.matches('.fold, .group')) {
      if (!link && !span) return;
      event.preventDefault();
      return other(link || span);
    }
    if (!span || getSelection().toString()) return;
    event.preventDefault();
    go(row);
    follow(span);
  });

  const keys = {
    ArrowDown: () => step(1), j: () => step(1), ArrowUp: () => step(-1), k: () => step(-1),
    PageDown: () => step(20), PageUp: () => step(-20), Home: () => step(-1e9), End: () => step(1e9),
    ArrowRight: () => { if (current.getAttribute('aria-expanded') === 'false') $('.x', current).click(); },
    ArrowLeft: () => { if (current.getAttribute('aria-expanded') === 'true') $('a.x', current)?.click(); },
    Enter: () => $('a.o', current)?.click(),
    Escape: close,
    s: () => go($('.r.hot', grid)),
    e: () => next(row => $('.tag.e', row)),
    p: () => $('#path').click(),
    x: () => $('#errors')?.click(),
    '/': () => filter.focus(),
    '?': () => help.click(),
  };
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches('input, select, textarea')) {
      if (event.key === 'Escape') event.target.blur();
      return;
    }
    // Links and buttons have their own Enter; details scroll with the arrows.
    const inside = event.target.closest('a, button, summary, #dr');
    if (inside && event.key !== 'Escape' && !/^[a-z/?]$/.test(event.key)) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  help.addEventListener('click', () => {
    alert('↑ ↓ or j k: move · ← →: close, open · Enter: details · Esc: close them\ns: slowest hop · e: next error · p: critical path only · x: errors only · /: filter');
  });
})();
