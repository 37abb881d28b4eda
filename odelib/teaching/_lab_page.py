"""Style sheets of laboratories and explorables, and the script of a laboratory, as every output carries them."""

LAB_STYLE = """<style>
.ode-lab{border:1px solid;border-color:color-mix(in srgb,currentColor 25%,transparent);border-radius:.5rem;
padding:.75rem .9rem;box-sizing:border-box;max-width:100%}
html[data-theme=dark] .ode-lab,html[theme=dark] .ode-lab,[data-jp-theme-light=false] .ode-lab{color-scheme:dark}
.ode-lab p{margin:.4rem 0}
.ode-lab-title{font-weight:600}
.ode-lab-title span{font-size:.75em;letter-spacing:.06em;text-transform:uppercase;opacity:.8;margin-right:.5em}
.ode-lab-controls{display:flex;flex-wrap:wrap;gap:.6rem 1.4rem;align-items:center;margin:.6rem 0}
.ode-lab-slider{display:flex;flex:1 1 16rem;flex-wrap:wrap;gap:.1rem .6rem;align-items:center;min-width:0}
.ode-lab-slider input{flex:1 1 9rem;min-width:0;height:2rem;accent-color:#2b5ddc;cursor:pointer}
.ode-lab-slider output{min-width:3.2em;font-variant-numeric:tabular-nums}
.ode-lab label{margin:0}
.ode-lab fieldset{border:0;padding:0;margin:0;display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.ode-lab legend{float:left;padding:0;margin:0 .2rem 0 0;width:auto;font-size:inherit}
.ode-lab fieldset label{cursor:pointer;display:inline-flex;gap:.35rem;align-items:center;min-height:1.75rem}
.ode-lab input[type=radio]{accent-color:#2b5ddc;width:1.1em;height:1.1em;margin:0}
.ode-lab input:focus-visible{outline:2px solid currentColor;outline-offset:3px}
.ode-lab-text{min-height:3em}
.ode-lab details{font-size:.93em}
.ode-lab-table{overflow-x:auto}
.ode-lab table{border-collapse:collapse;width:100%;color:inherit}
.ode-lab th,.ode-lab td{text-align:left;vertical-align:top;padding:.2rem .7rem .2rem 0;white-space:normal;
background:none;color:inherit;font-size:inherit}
</style>"""

EXPLORE_STYLE = """<style>
.ode-explore{border:1px solid;border-color:color-mix(in srgb,currentColor 25%,transparent);border-radius:.5rem;
padding:.75rem .9rem;box-sizing:border-box;max-width:100%;margin:0 0 .75rem}
:is(html[data-theme=dark],html[theme=dark],[data-jp-theme-light=false]) .ode-explore{color-scheme:dark}
.ode-explore p{margin:.4rem 0}
.ode-explore .ode-lab-title{font-weight:600}
.ode-explore .ode-lab-title span{font-size:.75em;letter-spacing:.06em;text-transform:uppercase;opacity:.8;
margin-right:.5em}
.ode-explore details,.ode-explore .explore-note{font-size:.93em}
.ode-explore .ode-lab-table{overflow-x:auto}
.ode-explore table{border-collapse:collapse;width:100%;color:inherit}
.ode-explore :is(th,td){text-align:left;vertical-align:top;padding:.2rem .7rem .2rem 0;white-space:normal;
background:none;color:inherit;font-size:inherit}
</style>"""

# Found by a data attribute, not by id or currentScript: JupyterLab may show an output twice and evaluates scripts
# out of place. The descriptions are read from the table, so that they stand on the page once.
LAB_SCRIPT = """
(function () {
  document.querySelectorAll('.ode-lab:not([data-ready])').forEach(function (lab) {
    lab.dataset.ready = '1';
    var range = lab.querySelector('input[type=range]');
    var radios = Array.from(lab.querySelectorAll('input[type=radio]'));
    var steps = range.dataset.steps.split('|');
    var rows = lab.querySelectorAll('tbody tr');
    var parts = Array.from(lab.querySelectorAll('[data-f]')).map(function (part) {
      return [part, new Set(part.dataset.f.split(' '))];
    });
    function update() {
      var chosen = radios.findIndex(function (radio) { return radio.checked; });
      var frame = radios.length ? range.value * radios.length + chosen : +range.value;
      parts.forEach(function (pair) {
        if (pair[1].has(String(frame))) pair[0].removeAttribute('display');
        else pair[0].setAttribute('display', 'none');
      });
      range.setAttribute('aria-valuetext', steps[range.value]);
      lab.querySelector('output').textContent = steps[range.value];
      lab.querySelector('.ode-lab-text').innerHTML = rows[frame].lastElementChild.innerHTML;
      lab.dataset.frame = frame;
    }
    range.addEventListener('input', update);
    radios.forEach(function (radio) { radio.addEventListener('change', update); });
  });
})();
"""
