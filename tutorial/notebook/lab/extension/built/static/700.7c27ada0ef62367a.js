"use strict";(self.rspackChunktorch_tutorial=self.rspackChunktorch_tutorial||[]).push([[700],{22(t,e,o){var r=o(23),a=o.n(r),n=o(24),i=(o.n(n))()(a());i.push([t.id,`/* The colours are the theme's. */

/* ---- the buttons with a word */

:is([data-jp-item-name="unroll"], [data-jp-item-name="replay"]) .jp-ToolbarButtonComponent-label {
  padding-inline-start: 4px;
}

/* ---- panels */

.tutorial-Panel {
  overflow: auto;
  min-height: 280px; /* in Notebook 7 it would get none */
  background: var(--jp-layout-color0);
  color: var(--jp-content-font-color1);
}

.tutorial-Panel .jp-RenderedHTML {
  padding: 0 12px 12px;
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

.tutorial-Panel [aria-busy] {
  opacity: 0.5;
}

/* ---- side by side: where two columns do not fit, the second is below the first. What is too long
   one scrolls to, in the panel; the left side stays. */

.tutorial-pairs {
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  line-height: var(--jp-code-line-height);
}

.tutorial-pairs [role="row"] {
  display: flex;
  flex-wrap: wrap;
  border-bottom: 1px solid var(--jp-border-color2);
}

.tutorial-pairs [role="row"] > * {
  box-sizing: border-box;
  padding: 4px 1ch;
  border-left: 3px solid var(--jp-border-color1);
  flex: 1 0 var(--right);
}

.tutorial-pairs [role="row"] > :first-child {
  position: sticky;
  left: 0;
  flex: 0 0 var(--left);
  background: var(--jp-layout-color0);
}

.tutorial-pairs [role="columnheader"] {
  font-weight: 600;
}

.tutorial-pairs pre {
  margin: 0;
  font: inherit;
}

.tutorial-pairs [role="row"]:is(:hover, :focus) > [role="cell"] {
  background: color-mix(in srgb, var(--jp-brand-color1) 12%, var(--jp-layout-color0));
  border-left-color: var(--jp-brand-color1);
}

.tutorial-pairs [role="row"]:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -2px;
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
`,""]),o.d(e,{},{A:i})},24(t){t.exports=function(t){var e=[];return e.toString=function(){return this.map(function(e){var o="",r=void 0!==e[5];return e[4]&&(o+="@supports (".concat(e[4],") {")),e[2]&&(o+="@media ".concat(e[2]," {")),r&&(o+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),o+=t(e),r&&(o+="}"),e[2]&&(o+="}"),e[4]&&(o+="}"),o}).join("")},e.i=function(t,o,r,a,n){"string"==typeof t&&(t=[[null,t,void 0]]);var i={};if(r)for(var l=0;l<this.length;l++){var s=this[l][0];null!=s&&(i[s]=!0)}for(var p=0;p<t.length;p++){var c=[].concat(t[p]);r&&i[c[0]]||(void 0!==n&&(void 0===c[5]||(c[1]="@layer".concat(c[5].length>0?" ".concat(c[5]):""," {").concat(c[1],"}")),c[5]=n),o&&(c[2]&&(c[1]="@media ".concat(c[2]," {").concat(c[1],"}")),c[2]=o),a&&(c[4]?(c[1]="@supports (".concat(c[4],") {").concat(c[1],"}"),c[4]=a):c[4]="".concat(a)),e.push(c))}},e}},23(t){t.exports=function(t){return t[1]}},16(t){var e=[];function o(t){for(var o=-1,r=0;r<e.length;r++)if(e[r].identifier===t){o=r;break}return o}function r(t,r){for(var a={},n=[],i=0;i<t.length;i++){var l=t[i],s=r.base?l[0]+r.base:l[0],p=a[s]||0,c="".concat(s," ").concat(p);a[s]=p+1;var d=o(c),u={css:l[1],media:l[2],sourceMap:l[3],supports:l[4],layer:l[5]};if(-1!==d)e[d].references++,e[d].updater(u);else{var h=function(t,e){var o=e.domAPI(e);return o.update(t),function(e){e?(e.css!==t.css||e.media!==t.media||e.sourceMap!==t.sourceMap||e.supports!==t.supports||e.layer!==t.layer)&&o.update(t=e):o.remove()}}(u,r);r.byIndex=i,e.splice(i,0,{identifier:c,updater:h,references:1})}n.push(c)}return n}t.exports=function(t,a){var n=r(t=t||[],a=a||{});return function(t){t=t||[];for(var i=0;i<n.length;i++){var l=o(n[i]);e[l].references--}for(var s=r(t,a),p=0;p<n.length;p++){var c=o(n[p]);0===e[c].references&&(e[c].updater(),e.splice(c,1))}n=s}}},18(t){var e={};t.exports=function(t,o){var r=function(t){if(void 0===e[t]){var o=document.querySelector(t);if(window.HTMLIFrameElement&&o instanceof window.HTMLIFrameElement)try{o=o.contentDocument.head}catch(t){o=null}e[t]=o}return e[t]}(t);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(o)}},20(t){t.exports=function(t){var e=document.createElement("style");return t.setAttributes(e,t.attributes),t.insert(e,t.options),e}},19(t,e,o){t.exports=function(t){var e=o.nc;e&&t.setAttribute("nonce",e)}},17(t){t.exports=function(t){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=t.insertStyleElement(t);return{update:function(o){var r,a,n;r="",o.supports&&(r+="@supports (".concat(o.supports,") {")),o.media&&(r+="@media ".concat(o.media," {")),(a=void 0!==o.layer)&&(r+="@layer".concat(o.layer.length>0?" ".concat(o.layer):""," {")),r+=o.css,a&&(r+="}"),o.media&&(r+="}"),o.supports&&(r+="}"),(n=o.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),t.styleTagTransform(r,e,t.options)},remove:function(){var t;null===(t=e).parentNode||t.parentNode.removeChild(t)}}}},21(t){t.exports=function(t,e){if(e.styleSheet)e.styleSheet.cssText=t;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(t))}}},15(t,e,o){var r=o(16),a=o.n(r),n=o(17),i=o.n(n),l=o(18),s=o.n(l),p=o(19),c=o.n(p),d=o(20),u=o.n(d),h=o(21),f=o.n(h),v=o(22),g={};g.styleTagTransform=f(),g.setAttributes=c(),g.insert=s().bind(null,"head"),g.domAPI=i(),g.insertStyleElement=u(),a()(v.A,g),v.A&&v.A.locals&&v.A.locals}}]);