/* The viewer of structures, and the table of contents, which is folded on a phone. */
(function () {
  'use strict';
  var narrow = window.matchMedia('(max-width: 65.99rem)');
  var contents = document.querySelector('.toc details');
  if (narrow.matches && contents) { contents.open = false; }

  var stage = document.getElementById('stage');
  if (!stage) { return; }
  var data = JSON.parse(document.getElementById('scenes').textContent);
  var buttons = Array.prototype.slice.call(document.querySelectorAll('[data-scene]'));
  var note = document.getElementById('scene-note');

  function drawsWebGL() {
    try {
      var canvas = document.createElement('canvas');
      return !!(canvas.getContext('webgl2') || canvas.getContext('webgl'));
    } catch (error) { return false; }
  }

  function giveUp() {
    stage.hidden = true;
    document.getElementById('viewer-fallback').hidden = false;
    document.querySelectorAll('[data-turn], [data-scene]').forEach(function (button) { button.disabled = true; });
  }

  if (!drawsWebGL()) { giveUp(); return; }
  var viewer = window.$3Dmol.createViewer(stage, { backgroundAlpha: 0, antialias: true, disableFog: true });
  if (!viewer) { giveUp(); return; }
  /* The wheel scrolls the page, as everywhere else on it; with Ctrl it changes the size. */
  stage.addEventListener('wheel', function (event) { if (!event.ctrlKey) { event.stopPropagation(); } }, true);

  function atoms(scene) {
    var list = scene.elements.map(function (element, index) {
      var place = scene.positions[index];
      return { elem: element, x: place[0], y: place[1], z: place[2], serial: index, bonds: [], bondOrder: [] };
    });
    scene.bonds.forEach(function (pair) {
      list[pair[0]].bonds.push(pair[1]); list[pair[0]].bondOrder.push(1);
      list[pair[1]].bonds.push(pair[0]); list[pair[1]].bondOrder.push(1);
    });
    return list;
  }

  function corner(cell, i, j, k) {
    function part(axis) { return i * cell[0][axis] + j * cell[1][axis] + k * cell[2][axis]; }
    return { x: part(0), y: part(1), z: part(2) };
  }

  function drawCell(cell) {
    for (var a = 0; a < 2; a++) {
      for (var b = 0; b < 2; b++) {
        [[[0, a, b], [1, a, b]], [[a, 0, b], [a, 1, b]], [[a, b, 0], [a, b, 1]]].forEach(function (edge) {
          viewer.addLine({
            start: corner(cell, edge[0][0], edge[0][1], edge[0][2]),
            end: corner(cell, edge[1][0], edge[1][1], edge[1][2]),
            color: '#8a97a6', linewidth: 1
          });
        });
      }
    }
  }

  function show(index) {
    var scene = data.scenes[index];
    viewer.removeAllModels();
    viewer.removeAllShapes();
    var model = viewer.addModel();
    model.addAtoms(atoms(scene));
    Object.keys(data.colours).forEach(function (element) {
      var colour = data.colours[element];
      viewer.setStyle({ elem: element }, {
        stick: { radius: 0.13, color: colour }, sphere: { scale: element === 'H' ? 0.26 : 0.3, color: colour }
      });
    });
    if (scene.cell) { drawCell(scene.cell); }
    reset();
    note.innerHTML = scene.note;
    buttons.forEach(function (button, number) { button.setAttribute('aria-pressed', String(number === index)); });
  }

  function reset() {
    viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    viewer.zoomTo();
    viewer.rotate(-20, 'y');
    viewer.rotate(15, 'x');
    viewer.zoom(1.1);
    viewer.render();
  }

  var moves = {
    left: function () { viewer.rotate(-15, 'y'); }, right: function () { viewer.rotate(15, 'y'); },
    up: function () { viewer.rotate(-15, 'x'); }, down: function () { viewer.rotate(15, 'x'); },
    'in': function () { viewer.zoom(1.2); }, out: function () { viewer.zoom(1 / 1.2); }, reset: reset
  };
  function move(name) { moves[name](); viewer.render(); }

  buttons.forEach(function (button, index) { button.addEventListener('click', function () { show(index); }); });
  document.querySelectorAll('[data-turn]').forEach(function (button) {
    button.addEventListener('click', function () { move(button.getAttribute('data-turn')); });
  });
  var keys = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down', '+': 'in', '-': 'out', Home: 'reset' };
  stage.addEventListener('keydown', function (event) {
    var name = keys[event.key];
    if (name && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); move(name); }
  });
  window.addEventListener('resize', function () { viewer.resize(); viewer.render(); });
  show(0);
  stage.setAttribute('data-ready', 'true');
}());
