// Everything works without this file: it adds the theme button, the keyboard, a filter over the
// rows that are there, and details that open without loading the page anew.
(() => {
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
  help.hidden = false;
  // One tab stop: the arrows move inside.
  grid.tabIndex = 0;
  for (const link of $$('a', grid)) link.tabIndex = -1;
  let current = $('.r.sel', grid) || rows.find(row => '#' + row.id === location.hash) || rows[0];
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
  // Where the page has all spans, the list of them, once it is there.
  let list;
  const step = by => {
    if (list) return list.step(by);
    const all = shown(), at = all.indexOf(current);
    go(all[Math.max(0, Math.min(all.length - 1, at + by))]);
  };
  const next = test => {
    const all = shown();
    go([...all.slice(all.indexOf(current) + 1), ...all].find(test));
  };

  // ---- which rows are shown
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (list) return list.filter(words);
    let n = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
      n += !row.hidden;
    }
    // The line is drawn for all rows.
    const isAll = n === rows.length;
    line.style.visibility = isAll ? '' : 'hidden';
    status.textContent = isAll ? said : `${n} of these ${rows.length} rows match`;
  };
  const here = name => new URLSearchParams(location.search).get(name);
  // A URL with another parameter; without it where there is no value.
  const withParam = (href, name, value) => {
    const url = new URL(href, location);
    if (value) url.searchParams.set(name, value); else url.searchParams.delete(name);
    return url;
  };
  let typing;
  filter.addEventListener('input', () => {
    show();
    clearTimeout(typing);
    typing = setTimeout(() => history.replaceState(null, '', withParam(location, 'q', filter.value)), 300);
  });
  // Other rows keep the filter and the details that are open now, which the links do not know of.
  const other = link => { location.href = withParam(withParam(link.href, 'q', filter.value), 'span', here('span')); };

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
  const back = () => grid.focus({ preventScroll: true });
  const close = () => {
    const link = $('#dr [data-close]');
    if (!$('#dr')) return;
    if (link) history.pushState(null, '', list ? withParam(location, 'span') : link.href);
    drop();
    back();
  };
  const follow = async href => {
    try {
      if (await open(href)) return $('#dr').focus({ preventScroll: innerWidth > 900 });
    } catch { /* Load the page instead. */ }
    location.href = href;
  };
  // The details of a row of the list.
  const details = async () => follow(withParam(location, 'span', await list.span()));
  addEventListener('popstate', async () => {
    const span = here('span');
    if (!span) return drop();
    list?.find(span);
    try { if (await open(location.href, false)) return; } catch { /* Load the page instead. */ }
    location.reload();
  });

  const isOther = event => event.ctrlKey || event.metaKey || event.altKey;
  document.addEventListener('click', event => {
    if (event.button || event.shiftKey || isOther(event)) return;
    const link = event.target.closest('a'), copy = event.target.closest('.copy');
    if (copy) { getSelection().selectAllChildren(copy.previousElementSibling); copy.textContent = document.execCommand('copy') ? 'copied' : 'press Ctrl+C'; return; }
    if (link && 'close' in link.dataset) { event.preventDefault(); return close(); }
    if (link?.matches('.bar a')) { event.preventDefault(); return other(link); }
    const row = event.target.closest('.r');
    if (row && getSelection().toString()) return;
    if (list && row) {
      list.go(row);
      return details();
    }
    if (list && link?.matches('.verdict a, .finds a, .dr a') && link.pathname === location.pathname) {
      event.preventDefault();
      const span = new URL(link.href).searchParams.get('span') || link.hash.slice(3);
      list.find(span);
      return follow(withParam(location, 'span', span));
    }
    if (!row) return;
    const span = $('a.o', row);
    if (link?.matches('.x') || row.matches('.fold, .group')) {
      if (!link && !span) return;
      event.preventDefault();
      return other(link || span);
    }
    if (!span) return;
    event.preventDefault();
    go(row);
    follow(span.href);
  });

  const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 20, PageUp: -20, Home: -1e9, End: 1e9 };
  const keys = {
    ArrowRight: () => { if (current.ariaExpanded === 'false') $('.x', current).click(); },
    ArrowLeft: () => { if (current.ariaExpanded === 'true') $('a.x', current)?.click(); },
    Enter: () => list ? details() : $('a.o', current)?.click(),
    Escape: close,
    s: () => list ? list.slowest() : go($('.r.hot', grid)),
    e: () => list ? list.error() : next(row => $('.tag.e', row)),
    a: () => $('#all').click(),
    p: () => $('#path').click(),
    x: () => $('#errors')?.click(),
    '/': () => filter.focus(),
    '?': () => help.click(),
  };
  document.addEventListener('keydown', event => {
    if (isOther(event)) return;
    if (event.target.matches('input, select, textarea')) {
      if (event.key === 'Escape') back();
      return;
    }
    // Links and buttons have their own Enter; details scroll with the arrows.
    const inside = event.target.closest('a, button, summary, #dr');
    if (inside && event.key !== 'Escape' && !/^[a-z/?]$/.test(event.key)) return;
    const by = steps[event.key], act = keys[event.key];
    if (!by && !act) return;
    event.preventDefault();
    if (by) step(by); else act();
  });

  if (lay.dataset.columnsUrl) {
    status.textContent = 'loading…';
    spanList(lay.dataset.columnsUrl, grid, filter, status).then(made => {
      list = made;
      show();
      if (here('span')) list.find(here('span'));
    }).catch(() => { status.textContent = said + '; the list of all did not load'; });
  }
  help.addEventListener('click', () => alert(help.dataset.keys));
})();
