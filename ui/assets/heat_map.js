// The heat map without this file: cells are links. With it dragging selects, and arrow keys go from
// cell to cell.
(() => {
  const map = document.getElementById('heat');
  if (!map) return;
  const grid = map.querySelector('.hg'), form = document.getElementById('find'), { dataset } = map;
  const [least, most] = [dataset.least.split(' '), dataset.most.split(' ')];
  const nRows = least.length, nColumns = +getComputedStyle(map).getPropertyValue('--c');
  const cells = [...grid.querySelectorAll('a')].map(link => {
    const [row, column] = link.style.gridArea.split('/').map(part => parseInt(part));
    return { link, row, column };
  });

  // ---- dragging
  const time = column => new Date((+dataset.start + column * dataset.step) * 1000).toISOString().slice(0, 19).replace(/:00$/, '');
  const place = event => {
    const box = grid.getBoundingClientRect();
    const at = (share, n) => Math.max(0, Math.min(n - 1, Math.floor(share * n)));
    return [at((event.clientX - box.x) / box.width, nColumns), at((event.clientY - box.y) / box.height, nRows)];
  };
  let begun, frame, area;
  const end = () => {
    frame?.remove();
    begun = frame = area = null;
  };
  map.ondragstart = () => false;
  grid.onpointerdown = event => {
    // Fingers scroll, and tap on cells.
    if (event.button || event.pointerType === 'touch') return;
    begun = { x: event.clientX, y: event.clientY, at: place(event) };
  };
  grid.onpointermove = event => {
    if (!begun) return;
    if (!event.buttons) return end();
    if (!frame) {
      if (Math.hypot(event.clientX - begun.x, event.clientY - begun.y) < 5) return;
      // From here on the click that ends it is no cell's.
      grid.setPointerCapture(event.pointerId);
      frame = document.createElement('i');
      frame.className = 'pick drag';
      grid.append(frame);
    }
    const [x, y] = [0, 1].map(axis => [begun.at[axis], place(event)[axis]].sort((a, b) => a - b));
    area = { x, y };
    const { style } = frame, percent = (n, of) => `${n / of * 100}%`;
    style.left = percent(x[0], nColumns);
    style.width = percent(x[1] - x[0] + 1, nColumns);
    style.top = percent(y[0], nRows);
    style.height = percent(y[1] - y[0] + 1, nRows);
  };
  grid.onpointerup = () => {
    if (area) {
      const { x, y } = area, set = (name, value) => { form.elements[name].value = value; };
      set('from', time(x[0]));
      set('to', time(x[1] + 1));
      set('min', least[y[1]]);
      set('max', most[y[0]]);
      form.requestSubmit();
    }
    end();
  };
  grid.onpointercancel = end;
  addEventListener('keydown', event => {
    if (event.key === 'Escape') end();
  });

  // ---- keys
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  map.addEventListener('keydown', event => {
    const way = ways[event.key];
    if (!way || event.altKey || event.ctrlKey || event.metaKey || !cells.length) return;
    event.preventDefault();
    const from = cells.find(cell => cell.link === document.activeElement);
    // How far a cell is that way, and how far off it.
    const far = cell => {
      const [x, y] = [cell.column - from.column, cell.row - from.row];
      const along = x * way[0] + y * way[1], off = Math.abs(x * way[1]) + Math.abs(y * way[0]);
      return along > 0 ? along + 3 * off : Infinity;
    };
    const nearest = !from ? cells[0] : cells.reduce((a, b) => far(b) < far(a) ? b : a);
    if (!from || far(nearest) < Infinity) nearest.link.focus();
  });
})();
