"use strict";(self.rspackChunktorch_tutorial=self.rspackChunktorch_tutorial||[]).push([[700],{21(t,e,r){var o=r(22),a=r.n(o),n=r(23),i=(r.n(n))()(a());i.push([t.id,`/* The colours are the theme's. */

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

/* ---- lessons: a card has room for what stands on it, and keeps its lines */

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) {
  width: 22em;
}

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) .jp-LauncherCard-label {
  height: auto;
}

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) p {
  display: block;
  max-height: none;
  padding: 0 12px 12px;
  text-align: start;
  white-space: pre-line;
}

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) p::first-line {
  font-weight: 600;
}

.tutorial-LessonChoice {
  overflow: auto;
}

.tutorial-LessonChoice label {
  display: block;
  padding: 6px 0;
}

.tutorial-LessonChoice input[type="radio"] {
  appearance: auto; /* dialogs style every input as a line of text */
  width: auto;
  height: auto;
  vertical-align: baseline;
}

.tutorial-LessonChoice ul {
  margin: 4px 0 0;
}
`,""]),r.d(e,{},{A:i})},23(t){t.exports=function(t){var e=[];return e.toString=function(){return this.map(function(e){var r="",o=void 0!==e[5];return e[4]&&(r+="@supports (".concat(e[4],") {")),e[2]&&(r+="@media ".concat(e[2]," {")),o&&(r+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),r+=t(e),o&&(r+="}"),e[2]&&(r+="}"),e[4]&&(r+="}"),r}).join("")},e.i=function(t,r,o,a,n){"string"==typeof t&&(t=[[null,t,void 0]]);var i={};if(o)for(var l=0;l<this.length;l++){var s=this[l][0];null!=s&&(i[s]=!0)}for(var c=0;c<t.length;c++){var p=[].concat(t[c]);o&&i[p[0]]||(void 0!==n&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=n),r&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=r),a&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=a):p[4]="".concat(a)),e.push(p))}},e}},22(t){t.exports=function(t){return t[1]}},15(t){var e=[];function r(t){for(var r=-1,o=0;o<e.length;o++)if(e[o].identifier===t){r=o;break}return r}function o(t,o){for(var a={},n=[],i=0;i<t.length;i++){var l=t[i],s=o.base?l[0]+o.base:l[0],c=a[s]||0,p="".concat(s," ").concat(c);a[s]=c+1;var u=r(p),d={css:l[1],media:l[2],sourceMap:l[3],supports:l[4],layer:l[5]};if(-1!==u)e[u].references++,e[u].updater(d);else{var f=function(t,e){var r=e.domAPI(e);return r.update(t),function(e){e?(e.css!==t.css||e.media!==t.media||e.sourceMap!==t.sourceMap||e.supports!==t.supports||e.layer!==t.layer)&&r.update(t=e):r.remove()}}(d,o);o.byIndex=i,e.splice(i,0,{identifier:p,updater:f,references:1})}n.push(p)}return n}t.exports=function(t,a){var n=o(t=t||[],a=a||{});return function(t){t=t||[];for(var i=0;i<n.length;i++){var l=r(n[i]);e[l].references--}for(var s=o(t,a),c=0;c<n.length;c++){var p=r(n[c]);0===e[p].references&&(e[p].updater(),e.splice(p,1))}n=s}}},17(t){var e={};t.exports=function(t,r){var o=function(t){if(void 0===e[t]){var r=document.querySelector(t);if(window.HTMLIFrameElement&&r instanceof window.HTMLIFrameElement)try{r=r.contentDocument.head}catch(t){r=null}e[t]=r}return e[t]}(t);if(!o)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");o.appendChild(r)}},19(t){t.exports=function(t){var e=document.createElement("style");return t.setAttributes(e,t.attributes),t.insert(e,t.options),e}},18(t,e,r){t.exports=function(t){var e=r.nc;e&&t.setAttribute("nonce",e)}},16(t){t.exports=function(t){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=t.insertStyleElement(t);return{update:function(r){var o,a,n;o="",r.supports&&(o+="@supports (".concat(r.supports,") {")),r.media&&(o+="@media ".concat(r.media," {")),(a=void 0!==r.layer)&&(o+="@layer".concat(r.layer.length>0?" ".concat(r.layer):""," {")),o+=r.css,a&&(o+="}"),r.media&&(o+="}"),r.supports&&(o+="}"),(n=r.sourceMap)&&"u">typeof btoa&&(o+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),t.styleTagTransform(o,e,t.options)},remove:function(){var t;null===(t=e).parentNode||t.parentNode.removeChild(t)}}}},20(t){t.exports=function(t,e){if(e.styleSheet)e.styleSheet.cssText=t;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(t))}}},14(t,e,r){var o=r(15),a=r.n(o),n=r(16),i=r.n(n),l=r(17),s=r.n(l),c=r(18),p=r.n(c),u=r(19),d=r.n(u),f=r(20),h=r.n(f),m=r(21),v={};v.styleTagTransform=h(),v.setAttributes=p(),v.insert=s().bind(null,"head"),v.domAPI=i(),v.insertStyleElement=d(),a()(m.A,v),m.A&&m.A.locals&&m.A.locals}}]);