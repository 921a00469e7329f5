// The heat map: dragging over it selects.
