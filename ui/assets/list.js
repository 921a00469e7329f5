// All spans of a trace: the arrays of docs/columns.md, shown in a few rows that are filled anew while one scrolls.
'use strict';
const spanList = async (url, grid, filter, status) => {
  // How high a row is, as in the style sheet.
  const ROW = 24;
  const reply = await fetch(url);
  if (!reply.ok) throw reply.status;
  const bytes = await reply.arrayBuffer(), head = new DataView(bytes).getUint32(0, true);
  const all = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, head))), { n, unit, total, names, svcs } = all;
  let at = 4 + head;
  for (const [name, size] of all.columns) {
    all[name] = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array }[size](bytes, at, n);
    at = Math.ceil((at + n * size) / 8) * 8;
  }
  const { start, dur, wait, rest, depth, name, svc, flags } = all, crit = rest.map((rest, i) => flags[i] & 32 && dur[i] - wait[i] - rest);
  if (start.BYTES_PER_ELEMENT === 4) for (let i = 1; i < n; i++) start[i] += start[i - 1];
  // One past the end of each subtree.
  const end = new Uint32Array(n).fill(n), above = [];
  for (let i = 0; i < n; i++) {
    while (above.length && depth[above.at(-1)] >= depth[i]) end[above.pop()] = i;
    above.push(i);
  }

  // As `format::duration` has it: below so many nanoseconds, in steps of so many, with so many digits behind the point.
  const FORMS = [[1e3, 1, 0, ' ns'], [9950, 100, 1, ' µs'], [999500, 1e3, 0, ' µs'], [9.95e6, 1e5, 1, ' ms'], [9.995e8, 1e6, 0, ' ms'], [5.9995e10, 1e7, 2, ' s']];
  const took = units => {
    if (!units && unit > 1) return '< ' + took(1);
    const ns = units * unit, by = nanos => Math.round(ns / nanos), two = (number, name) => Math.floor(number / 60) + name + number % 60;
    for (const [below, nanos, digits, name] of FORMS) if (ns < below) return (by(nanos) / 10 ** digits).toFixed(digits) + name;
    return by(1e9) < 3600 ? two(by(1e9), ' min ') + ' s' : two(by(6e10), ' h ') + ' min';
  };
  const count = number => number.toLocaleString('en');
  const set = (node, values) => {
    for (const key in values) if (values[key] === null) node.removeAttribute(key); else node.setAttribute(key, values[key]);
  };

  const pane = document.createElement('div'), header = grid.previousElementSibling, model = document.getElementById('model').content.firstChild;
  pane.className = 'vp';
  grid.before(pane);
  pane.append(header, grid);

  // `shown` has the rows that match the words, in order; `pool` those that are drawn.
  let shown, words = [], current = 0, pool = [];
  const fill = (row, k) => {
    const i = row.i = shown[k], flag = flags[i], from = start[i], to = from + dur[i], isParent = end[i] > i + 1, isOpen = isParent && !words.length;
    const cut = time => Math.min(Math.max(time, 0), total) * 1000 / total;
    const far = to < 0 ? `‹ ${took(-to)} earlier` : from > total ? `${took(from - total)} later ›` : '';
    const x = Math.min(cut(from), 999), width = far ? 0 : Math.max(cut(to) - x, 1), right = x + width;
    const [label, value, g] = row.children, [sign, text] = label.children, [svg, mark] = g.children, [, bar, over, lines] = svg.children;
    set(row, {
      class: `r s${Math.min(svc[i], 9)}${flag & 2 ? '' : ' off'}${flag & 4 ? ' hot' : ''}${i === current ? ' sel' : ''}`,
      id: 'row-' + i, style: `--d:${depth[i]};transform:translateY(${k * ROW}px)`,
      'aria-level': depth[i] + 1, 'aria-rowindex': k + 1, 'aria-expanded': isOpen || null,
    });
    sign.textContent = isOpen ? '▾' : '';
    text.firstChild.textContent = svcs[svc[i]];
    text.lastChild.data = ' ' + names[name[i]];
    label.replaceChildren(sign, text);
    for (const [bit, kind, said] of all.tags) {
      if (flag & bit) label.append(Object.assign(document.createElement('span'), { className: 'tag ' + kind, textContent: said }));
    }
    value.firstChild.data = took(dur[i]) + ' ';
    value.lastChild.textContent = isParent ? 'self ' + took(dur[i] - wait[i]) : '';
    // Self time; the first of it is what is critical.
    let own = '', line = '', left = crit[i], free = from;
    const stretch = stop => {
      const a = cut(free), b = cut(stop);
      if (b - a > .5) own += `M${a} 5H${b}V18H${a}z`;
      if (left > 0 && (b - a > .5 || !line)) line += `M${a} 20.5H${Math.max(a + 1, cut(Math.min(stop, free + left)))}`;
      left -= stop - free;
    };
    for (let child = i + 1; child < end[i]; child = end[child]) {
      if (!(flags[child] & 16)) {
        if (start[child] > free) stretch(Math.min(start[child], to));
        free = Math.max(free, Math.min(start[child] + dur[child], to));
      }
    }
    if (to > free) stretch(to);
    const place = { x: x / 10 + '%', width: width / 10 + '%' };
    set(bar, { class: wait[i] || !dur[i] ? 'wait' : 'wait all', ...place });
    set(over, place);
    set(lines.firstChild, { d: wait[i] ? own : '' });
    set(lines.lastChild, { d: line });
    mark.style = right <= 880 ? `left:${right / 10}%` : `right:${100 - x / 10}%`;
    mark.textContent = far || (width <= 750 && (right <= 880 || x >= 120) ? took(dur[i]) : '');
    set(g, { class: `g${far || from >= 0 ? '' : ' before'}${far || to <= total ? '' : ' after'}`, 'aria-label': `${far && far + ', '}${took(dur[i])}, starts ${from < 0 ? took(-from) + ' before this' : 'at ' + took(from)}, ${flag & 32 ? 'on the critical path for ' + took(crit[i]) : 'not on the critical path itself'}` });
  };
  const height = () => pane.clientHeight - header.offsetHeight;
  const draw = () => {
    // Even, so that every other row keeps its shade; eight above and below what is seen.
    const size = 2 * Math.ceil(height() / ROW / 2 + 8), n = Math.min(shown.length, size);
    if (pool.length !== size) grid.replaceChildren(...pool = Array.from({ length: size }, () => model.cloneNode(true)));
    const first = Math.max(0, Math.min(shown.length - n, Math.floor(pane.scrollTop / ROW) - 8));
    for (let k = first; k < first + size; k++) {
      const row = pool[k % size];
      row.hidden = k >= shown.length;
      if (row.k !== k && !row.hidden) fill(row, row.k = k);
    }
    set(grid, { 'aria-activedescendant': pool.some(row => !row.hidden && row.i === current) ? 'row-' + current : null });
  };
  const again = () => {
    for (const row of pool) row.k = -1;
    draw();
  };
  const match = wanted => {
    words = wanted;
    // The server has looked for what it was asked into attributes as well.
    const isAsked = filter.value.trim() === all.q, hits = isAsked ? [] : words.map(word => [names, svcs].map(texts => texts.map(text => text.toLowerCase().includes(word))));
    shown = new Uint32Array(n).map((_, i) => i).filter(i => isAsked ? flags[i] & 64 : hits.every(([inName, inSvc]) => inName[name[i]] || inSvc[svc[i]]));
    grid.style.height = shown.length * ROW + 'px';
    set(grid, { 'aria-rowcount': shown.length });
    status.textContent = words.length ? `${count(shown.length)} of ${count(n)} spans match${isAsked ? '' : ' by name; Enter: by attributes too'}` : `all ${count(n)} spans shown`;
    again();
  };
  const go = i => {
    if (!shown.includes(i)) {
      filter.value = '';
      match([]);
    }
    current = i;
    const y = shown.indexOf(i) * ROW, room = height() - ROW, top = pane.scrollTop;
    pane.scrollTop = Math.abs(y - top - room / 2) > room ? y - room / 3 : Math.min(y, Math.max(top, y - room));
    again();
    pane.scrollIntoView({ block: 'nearest' });
  };
  // Asks what URLs call the spans of some rows.
  const ask = async query => {
    const run = await (await fetch(url.split('?')[0] + '/spans?' + query)).json();
    // The trace has grown: rows are elsewhere now.
    if (run.version && run.version !== all.version) location.reload();
    return run;
  };
  pane.addEventListener('scroll', draw, { passive: true });
  addEventListener('resize', draw);
  match([]);
  return {
    filter: match,
    go: row => go(row.i),
    step: by => shown.length && go(shown[Math.max(0, Math.min(shown.length - 1, shown.indexOf(current) + by))]),
    slowest: () => go(all.slowest),
    error: () => {
      const failed = shown.filter(i => flags[i] & 1);
      if (failed.length) go(failed.find(i => i > current) ?? failed[0]);
    },
    // What URLs call the span of the current row; and the row of a span.
    span: async () => {
      const run = await ask('row=' + current);
      return run.spans[current - run.from];
    },
    find: async span => {
      const run = await ask('span=' + span), at = run.spans?.indexOf(span);
      if (at >= 0) go(run.from + at);
    },
  };
};
