"use strict";(self.rspackChunktorch_tutorial=self.rspackChunktorch_tutorial||[]).push([[700],{21(t,e,o){var r=o(22),a=o.n(r),n=o(23),i=(o.n(n))()(a());i.push([t.id,`/* The colours are the theme's. */

/* ---- the button with a word */

[data-jp-item-name="unroll"] .jp-ToolbarButtonComponent-label {
  padding-inline-start: 4px;
}

/* ---- side by side */

.tutorial-SideBySide {
  container-type: inline-size;
  overflow: auto;
  min-height: 280px; /* in Notebook 7 it would get none */
  background: var(--jp-layout-color0);
  color: var(--jp-content-font-color1);
}

.tutorial-depth {
  display: flex;
  flex-wrap: wrap;
  gap: 4px 16px;
  margin: 0;
  padding: 6px 12px;
  border: 0;
}

.tutorial-depth legend {
  float: left; /* on one line with the buttons */
  padding: 0;
  font-weight: 600;
}

.tutorial-depth label {
  display: inline-flex;
  align-items: center;
  gap: 4px;
}

.tutorial-depth label:has(:disabled),
.tutorial-depth small {
  color: var(--jp-content-font-color2);
}

.tutorial-depth input {
  margin: 0;
}

.tutorial-SideBySide [aria-busy] {
  opacity: 0.5;
}

.tutorial-pairs {
  display: grid;
  grid-template-columns: fit-content(40%) minmax(0, 1fr);
}

.tutorial-pairs [role="row"] {
  display: grid;
  grid-template-columns: subgrid;
  grid-column: 1 / -1;
  border-bottom: 1px solid var(--jp-border-color2);
}

.tutorial-pairs [role="row"] > * {
  padding: 4px 12px;
  border-left: 3px solid transparent;
}

.tutorial-pairs [role="columnheader"] {
  font-weight: 600;
}

.tutorial-pairs pre {
  margin: 0;
  overflow-x: auto;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  line-height: var(--jp-code-line-height);
}

.tutorial-pairs [role="row"]:is(:hover, :focus) > [role="cell"] {
  background: color-mix(in srgb, var(--jp-brand-color1) 12%, transparent);
  border-left-color: var(--jp-brand-color1);
}

.tutorial-pairs [role="row"]:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -2px;
}

@container (max-width: 40em) {
  .tutorial-pairs {
    grid-template-columns: minmax(0, 1fr);
  }
}

/* ---- lessons: a card has the mark of how far it is on the left, and its title, of any length, beside it */

.jp-LauncherCard:has([data-icon^="tutorial:lesson-"]) {
  flex-direction: row;
  align-items: center;
  width: 19.5em;
  min-height: 0;
  padding: 8px;
  box-sizing: border-box;
}

.jp-LauncherCard:has([data-icon^="tutorial:lesson-"]) .jp-LauncherCard-icon {
  flex: 0 0 24px;
  height: 24px;
}

.jp-LauncherCard-icon
  :is([data-icon^="tutorial:lesson-"], :has(> [data-icon^="tutorial:lesson-"])) {
  width: 24px;
  height: 24px;
}

.jp-LauncherCard:has([data-icon^="tutorial:lesson-"]) .jp-LauncherCard-label {
  padding: 0 0 0 10px;
  line-height: 1.4;
  font-size: var(--jp-ui-font-size1);
}

.jp-LauncherCard:has([data-icon^="tutorial:lesson-"]) p {
  min-height: 0;
  max-height: none;
  margin: 0;
  font-size: inherit;
  font-weight: 600;
  line-height: inherit;
  text-align: start;
}

/* The first line of what is shown to who points at it: minutes, and how far the lesson is. */
.jp-LauncherCard:has([data-icon^="tutorial:lesson-"]) .jp-LauncherCard-label::after {
  content: attr(title);
  display: block;
  height: 1.4em;
  overflow: hidden;
  white-space: pre;
  color: var(--jp-ui-font-color1);
}

.jp-Launcher-sectionHeader [data-icon^="tutorial:lesson-"] {
  display: none; /* it would be the first lesson's */
}

[data-jp-item-name="lessons"] .jp-ToolbarButtonComponent-label {
  display: inline;
  padding-inline-start: 4px;
}

.tutorial-LessonChoice {
  overflow: auto;
}

.tutorial-LessonChoice label {
  display: block;
  padding: 8px 4px;
  line-height: 1.5;
}

.tutorial-LessonChoice input[type="radio"] {
  appearance: auto; /* dialogs style every input as a line of text */
  width: auto;
  height: auto;
  vertical-align: baseline;
}

.tutorial-LessonChoice [data-state="done"] b::after {
  content: " ✓" / ""; /* the word stands beside it */
}

.tutorial-LessonChoice ul {
  margin: 2px 0 0;
}

/* To start over is the rarer wish: it stands aside, and looks so. */
.jp-Dialog-button.jp-mod-styled.tutorial-StartOver {
  order: -1; /* before the space that keeps the others at the end */
  background: transparent;
  border: 1px solid var(--jp-border-color1);
  color: var(--jp-ui-font-color1);
}
`,""]),o.d(e,{},{A:i})},23(t){t.exports=function(t){var e=[];return e.toString=function(){return this.map(function(e){var o="",r=void 0!==e[5];return e[4]&&(o+="@supports (".concat(e[4],") {")),e[2]&&(o+="@media ".concat(e[2]," {")),r&&(o+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),o+=t(e),r&&(o+="}"),e[2]&&(o+="}"),e[4]&&(o+="}"),o}).join("")},e.i=function(t,o,r,a,n){"string"==typeof t&&(t=[[null,t,void 0]]);var i={};if(r)for(var s=0;s<this.length;s++){var l=this[s][0];null!=l&&(i[l]=!0)}for(var c=0;c<t.length;c++){var p=[].concat(t[c]);r&&i[p[0]]||(void 0!==n&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=n),o&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=o),a&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=a):p[4]="".concat(a)),e.push(p))}},e}},22(t){t.exports=function(t){return t[1]}},15(t){var e=[];function o(t){for(var o=-1,r=0;r<e.length;r++)if(e[r].identifier===t){o=r;break}return o}function r(t,r){for(var a={},n=[],i=0;i<t.length;i++){var s=t[i],l=r.base?s[0]+r.base:s[0],c=a[l]||0,p="".concat(l," ").concat(c);a[l]=c+1;var d=o(p),u={css:s[1],media:s[2],sourceMap:s[3],supports:s[4],layer:s[5]};if(-1!==d)e[d].references++,e[d].updater(u);else{var h=function(t,e){var o=e.domAPI(e);return o.update(t),function(e){e?(e.css!==t.css||e.media!==t.media||e.sourceMap!==t.sourceMap||e.supports!==t.supports||e.layer!==t.layer)&&o.update(t=e):o.remove()}}(u,r);r.byIndex=i,e.splice(i,0,{identifier:p,updater:h,references:1})}n.push(p)}return n}t.exports=function(t,a){var n=r(t=t||[],a=a||{});return function(t){t=t||[];for(var i=0;i<n.length;i++){var s=o(n[i]);e[s].references--}for(var l=r(t,a),c=0;c<n.length;c++){var p=o(n[c]);0===e[p].references&&(e[p].updater(),e.splice(p,1))}n=l}}},17(t){var e={};t.exports=function(t,o){var r=function(t){if(void 0===e[t]){var o=document.querySelector(t);if(window.HTMLIFrameElement&&o instanceof window.HTMLIFrameElement)try{o=o.contentDocument.head}catch(t){o=null}e[t]=o}return e[t]}(t);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(o)}},19(t){t.exports=function(t){var e=document.createElement("style");return t.setAttributes(e,t.attributes),t.insert(e,t.options),e}},18(t,e,o){t.exports=function(t){var e=o.nc;e&&t.setAttribute("nonce",e)}},16(t){t.exports=function(t){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=t.insertStyleElement(t);return{update:function(o){var r,a,n;r="",o.supports&&(r+="@supports (".concat(o.supports,") {")),o.media&&(r+="@media ".concat(o.media," {")),(a=void 0!==o.layer)&&(r+="@layer".concat(o.layer.length>0?" ".concat(o.layer):""," {")),r+=o.css,a&&(r+="}"),o.media&&(r+="}"),o.supports&&(r+="}"),(n=o.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),t.styleTagTransform(r,e,t.options)},remove:function(){var t;null===(t=e).parentNode||t.parentNode.removeChild(t)}}}},20(t){t.exports=function(t,e){if(e.styleSheet)e.styleSheet.cssText=t;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(t))}}},14(t,e,o){var r=o(15),a=o.n(r),n=o(16),i=o.n(n),s=o(17),l=o.n(s),c=o(18),p=o.n(c),d=o(19),u=o.n(d),h=o(20),f=o.n(h),m=o(21),g={};g.styleTagTransform=f(),g.setAttributes=p(),g.insert=l().bind(null,"head"),g.domAPI=i(),g.insertStyleElement=u(),a()(m.A,g),m.A&&m.A.locals&&m.A.locals}}]);