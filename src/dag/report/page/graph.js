"use strict";
// It never draws everything: one package, what is around it, or the way from one to another.
(() => {
  const MOST = 120; // packages that are drawn at once
  const LEAST_ZOOM = 0.55; // below it no name can be read
  const data = JSON.parse(document.getElementById("data").textContent);
  const { names, versions, states, needs, components, starts } = data;
  const find = (id) => document.getElementById(id);
  const numbers = new Map(names.map((name, number) => [name, number]));
  const users = names.map(() => []);
  needs.forEach((several, start) => {
    for (const need of several) users[need >> 2].push((start << 2) | (need & 3));
  });
  const component = names.map(() => -1);
  components.forEach((members, place) => {
    for (const member of members) component[member] = place;
  });
  const switches = ["runtime", "reduce", "collapse"];
  const opened = new Set(); // components that are shown with all their packages
  find("names").append(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));

  const style = getComputedStyle(document.documentElement);
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  // The legend names each state that there is, in the state's own colours.
  const legend = new Map(
    [...document.querySelectorAll("#legend .s")].map((one) => [one.textContent, getComputedStyle(one)]),
  );
  // Cytoscape adds a style unless it is there already. The policy forbids that, and page.css has it.
  const added = Object.assign(document.createElement("meta"), { id: "__________cytoscape_stylesheet" });
  document.head.append(added);
  const cy = cytoscape({
    container: find("picture"),
    autoungrabify: true,
    style: [
      {
        selector: "node",
        style: {
          shape: "round-rectangle", width: "data(width)", height: 26, label: "data(label)",
          "text-valign": "center", "text-halign": "center", "font-size": 12, color: color("text"),
          "background-color": color("box"), "border-width": 1, "border-color": color("edge"),
        },
      },
      { selector: "node[fill]", style: { "background-color": "data(fill)", color: "data(ink)" } },
      { selector: "node[?external]", style: { "border-style": "dashed" } },
      { selector: "node[?several]", style: { "border-style": "double", "border-width": 5 } },
      { selector: "node[?chosen]", style: { "border-width": 4, "border-color": color("critical") } },
      {
        selector: "edge",
        style: {
          width: 1.2, "line-color": color("dim"), "target-arrow-color": color("dim"),
          "target-arrow-shape": "triangle", "curve-style": "bezier", "arrow-scale": 0.8,
        },
      },
      { selector: "edge[kind = 1]", style: { "line-style": "dotted" } },
      { selector: "edge[kind >= 2]", style: { "line-style": "dashed" } },
    ],
  });

  const counts = (way) => find("runtime").checked || !(way & 1);
  const around = (start) => {
    const direction = find("direction").value;
    let found = [start];
    const seen = new Set(found);
    for (let depth = Number(find("depth").value); depth > 0 && seen.size <= MOST; depth--) {
      const next = [];
      for (const one of found) {
        const ways = [
          ...(direction === "needed by" ? [] : needs[one]),
          ...(direction === "needs" ? [] : users[one]),
        ];
        for (const way of ways) {
          if (counts(way) && !seen.has(way >> 2)) {
            seen.add(way >> 2);
            next.push(way >> 2);
          }
        }
      }
      found = next;
    }
    return [...seen];
  };

  const wayBetween = (start, goal, all) => {
    const came = new Map([[start, -1]]);
    const queue = [start];
    for (const one of queue) {
      for (const need of needs[one]) {
        const next = need >> 2;
        if (came.has(next) || !(all || counts(need))) continue;
        came.set(next, one);
        if (next === goal) {
          const way = [];
          for (let at = goal; at !== -1; at = came.get(at)) way.unshift(at);
          return way;
        }
        queue.push(next);
      }
    }
    return null;
  };

  // Packages → nodes: a component of several is one node, unless somebody opened it. What was asked
  // for is always a node of its own.
  const groups = (shown, chosen) => {
    const collapse = find("collapse").checked;
    const group = new Map();
    for (const one of shown) {
      const place = component[one];
      const together = collapse && place >= 0 && !opened.has(place) && !chosen.includes(one);
      group.set(one, together ? `c${place}` : `n${one}`);
    }
    return group;
  };

  const edgesOf = (shown, group, all) => {
    const edges = new Map();
    for (const one of shown) {
      for (const need of needs[one]) {
        const [a, b] = [group.get(one), group.get(need >> 2)];
        if (b === undefined || a === b || !(all || counts(need))) continue;
        const key = `${a} ${b}`;
        const kind = need & 3;
        const old = edges.get(key);
        if (old === undefined || kind < old.kind) edges.set(key, { a, b, kind });
      }
    }
    return [...edges.values()];
  };

  // Leave out a → c where there is another way from a to c. In a cycle every line stays.
  const reduce = (edges) => {
    const next = new Map();
    for (const { a, b } of edges) next.set(a, [...(next.get(a) ?? []), b]);
    const reach = (start) => {
      const seen = new Set([start]);
      for (const one of seen) for (const other of next.get(one) ?? []) seen.add(other);
      return seen;
    };
    const behind = new Map([...new Set(edges.flatMap(({ a, b }) => [a, b]))].map((one) => [one, reach(one)]));
    return edges.filter(
      ({ a, b }) =>
        behind.get(b).has(a) ||
        !(next.get(a) ?? []).some(
          (other) =>
            other !== b && !behind.get(other).has(a) && behind.get(other).has(b) && !behind.get(b).has(other),
        ),
    );
  };

  const describe = (id, group) => {
    if (id[0] === "n") {
      const one = Number(id.slice(1));
      return { label: names[one], state: states[one], external: one >= versions.length };
    }
    const members = components[Number(id.slice(1))];
    const here = members.filter((one) => group.get(one) === id);
    const state = here.some((one) => states[one] === "failed") ? "failed" : "";
    return { label: `${here.length} of ${members.length} in a cycle: ${names[here[0]]} …`, state, several: true };
  };

  const fit = () => {
    cy.fit(undefined, 30);
    const zoom = Math.min(1.3, Math.max(LEAST_ZOOM, cy.zoom()));
    if (zoom === cy.zoom()) return;
    cy.zoom(zoom);
    cy.center(zoom === LEAST_ZOOM ? cy.nodes("[?chosen]").first() : undefined);
  };

  const draw = (shown, chosen, all) => {
    const group = groups(shown, chosen);
    let edges = edgesOf(shown, group, all);
    if (find("reduce").checked) edges = reduce(edges);
    const ids = [...new Set(group.values())];
    const layout = new dagre.graphlib.Graph();
    layout.setGraph({ rankdir: "LR", nodesep: 12, ranksep: 60 });
    layout.setDefaultEdgeLabel(() => ({}));
    const nodes = ids.map((id) => {
      const about = describe(id, group);
      const { backgroundColor: fill, color: ink } = legend.get(about.state) ?? {};
      const width = 24 + 7 * about.label.length;
      layout.setNode(id, { width, height: 26 });
      return { data: { id, width, fill, ink, ...about, chosen: chosen.some((one) => group.get(one) === id) } };
    });
    for (const { a, b } of edges) layout.setEdge(a, b);
    dagre.layout(layout);
    for (const one of nodes) {
      const { x, y } = layout.node(one.data.id);
      one.position = { x, y };
    }
    cy.elements().remove();
    cy.add([
      ...nodes,
      ...edges.map(({ a, b, kind }) => ({ data: { id: `${a} ${b}`, source: a, target: b, kind } })),
    ]);
    fit();
    return ids.length;
  };

  const element = (tag, text, children = []) => {
    const made = document.createElement(tag);
    made.textContent = text;
    made.append(...children);
    return made;
  };
  const button = (number) => {
    const made = element("button", names[number]);
    made.type = "button";
    made.addEventListener("click", () => choose(number, true));
    return element("li", "", [made]);
  };
  const list = (title, several) => [
    element("h3", `${title} (${several.length})`),
    element("ul", "", several.map((one) => button(one >> 2))),
  ];
  const about = (number) => {
    const place = component[number];
    const version = versions[number] ?? "no definition gives this";
    find("about").replaceChildren(
      element("h2", `${names[number]} ${version}${states[number] ? `: ${states[number]}` : ""}`),
      ...(place >= 0 ? list("In a cycle with", components[place].filter((one) => one !== number).map((one) => one << 2)) : []),
      ...list("Needs", needs[number].filter((need) => !(need & 1))),
      ...list("Needs at run time of what is installed", needs[number].filter((need) => need & 1)),
      ...list("Needed by", users[number]),
    );
  };

  let current = -1;
  const show = () => {
    if (current < 0) return;
    const goal = numbers.get(find("goal").value);
    let said = "";
    let shown = around(current);
    let chosen = [current];
    let all = false;
    if (goal !== undefined) {
      let way = wayBetween(current, goal, false);
      if (!way) {
        all = true;
        way = wayBetween(current, goal, true);
      }
      said = way ? `A shortest way: ${way.map((one) => names[one]).join(" → ")}. ` : `${names[current]} does not need ${names[goal]}. `;
      if (way) {
        shown = chosen = way;
      }
    }
    if (shown.length > MOST) {
      said += `More than ${MOST} packages are around it, and ${MOST} are shown: choose one direction or less depth. `;
      shown = shown.slice(0, MOST);
    }
    const drawn = draw(shown, chosen, all);
    find("said").textContent = `${said}${shown.length} packages are shown${drawn < shown.length ? `, as ${drawn}` : ""}.`;
    about(current);
    const asked = new URLSearchParams({ package: names[current] });
    for (const id of ["direction", "depth", "goal"]) if (find(id).value) asked.set(id, find(id).value);
    for (const id of switches) asked.set(id, find(id).checked ? "yes" : "no");
    history.replaceState(null, "", `#?${asked}`);
  };
  const choose = (number, move) => {
    current = number;
    find("package").value = names[number];
    find("goal").value = move ? "" : find("goal").value;
    show();
    if (move) find("about").focus({ preventScroll: true });
  };

  find("package").addEventListener("input", () => {
    const number = numbers.get(find("package").value);
    if (number !== undefined) choose(number, false);
  });
  find("package").addEventListener("change", () => {
    const words = find("package").value.toLowerCase();
    const number = numbers.get(find("package").value) ?? names.findIndex((name) => name.toLowerCase().includes(words));
    if (words && number >= 0) choose(number, false);
    else if (words) find("said").textContent = `There is no package like ${find("package").value}.`;
  });
  for (const id of ["direction", "depth", "goal", ...switches]) find(id).addEventListener("change", show);
  find("fit").addEventListener("click", () => cy.fit(undefined, 30)); // all of it, however small
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, select") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      find("package").select();
    }
  });
  cy.on("tap", "node", ({ target }) => {
    const id = target.id();
    if (id[0] === "n") return choose(Number(id.slice(1)), true);
    opened.add(Number(id.slice(1)));
    show();
  });

  const asked = new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  for (const id of ["direction", "depth", "goal"]) if (asked.has(id)) find(id).value = asked.get(id);
  for (const id of switches) if (asked.has(id)) find(id).checked = asked.get(id) === "yes";
  const first = numbers.get(asked.get("package")) ?? starts[0];
  if (first === undefined) find("said").textContent = "Choose a package.";
  else choose(first, false);
})();
